"""How others count: published accounts of energy beside ours, one file for each."""
