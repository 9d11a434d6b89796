"""Sweeps: a space of designs, traces, schedules and prices, its points run as a study, and what is best among them."""
