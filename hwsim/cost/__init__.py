"""Where picojoules, square micrometres and milliwatts are made: prices from technology tables, times counts."""
