"""Where a picojoule is made, and square micrometres and milliwatts: prices from technology tables, times counts.

`energy` makes prices and picojoules, `memory` the price of a memory's row, `area` area and leakage. `overrides` are prices of
the user, `explanation` prints count x price, line by line. The numbers and their sources are in `technology`.
"""
