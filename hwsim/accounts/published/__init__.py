"""Published accounts of energy: for each a module with its equations and, beside it, a data file with its numbers."""
