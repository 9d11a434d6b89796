"""The quantitative claims of the five papers: what is printed, the same formula computed again, and a verdict that follows."""
