"""The event core: lanes that add a spike's weights to membrane words, and its twin that multiplies activations."""
