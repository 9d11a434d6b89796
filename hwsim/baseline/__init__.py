"""ANN baselines beside the spiking core: the dense systolic array, and architectures of equal area."""
