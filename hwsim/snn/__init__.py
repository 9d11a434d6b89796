"""Spiking networks and what they did: Network, Layer, Connection, neuron models and the Trace file."""
