"""The trace, a spike file: a network and what it did, sample by sample, in HDF5. docs/formats/trace.md is its description.

`schema` says what the file holds, in the words of the network, and `manifest` what it claims to hold. `reader` has Trace, which
opens and checks one, `writer` writes one. `arrays` makes one of plain arrays, `synth` a random one. `file`, `version1` and the
three `hdf5_` modules are the bytes beneath.
"""
