"""Numba kernels of the fast engine: arrays and integers only, each with the rule that it computes."""
