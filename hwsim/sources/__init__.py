"""Source networks in PyTorch: activations, graphs, data sets and checkpoints. Training writes them, conversion reads them."""
