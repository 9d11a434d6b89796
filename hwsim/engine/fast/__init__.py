"""The fast engine: event times in Numba. `chip` is its face."""
