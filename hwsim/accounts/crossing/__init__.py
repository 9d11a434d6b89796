"""Break-even rates by simulation: scaled traces on a grid, as a study; docs/break-even.md."""
