"""What runs a Program: `fast` (Numba) and `reference` (SimPy), identical to the cycle, sharing nothing but the Program."""
