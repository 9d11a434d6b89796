"""Which comparisons stand when each price moves within its published range; docs/sensitivity.md."""
