"""Frozen suites of machines, prices and accounts, and cards that are made with them; docs/cards.md."""
