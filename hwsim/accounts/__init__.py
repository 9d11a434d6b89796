"""How others count: reserved for published accounts of energy (claims, break-even, sensitivity), one file for each."""
