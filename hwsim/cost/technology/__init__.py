"""Technology tables (YAML): units, memory and dram; `tables` reads and checks them, `curves` interpolates."""
