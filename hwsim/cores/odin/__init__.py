"""ODIN, a chip that exists: 256 neurons and 64k synapses (Frenkel 2019), cycle for cycle. Rules O1 to O8: docs/odin.md.

`fields` describes the core, `configuration` one programmed chip, `stimulus` what its pins see, `record` what a run did.
`reference` and `fast` are the two engines; they share those four and nothing else. `verify` holds an engine against recorded
cases. `placement` puts the network of a trace on the chip or says why not, `replay` runs its samples, and `model` is what the
rest of hwsim sees.
"""
