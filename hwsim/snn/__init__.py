"""Spiking networks in integers, without hardware and without files.

`network` has the graph (Network, Layer, Connection), `neurons` the neuron models, `forward` what a network computes, `validate`
what it must satisfy, `sample` one sample of what it did. The file that holds all of it is in hwsim/trace.
"""
