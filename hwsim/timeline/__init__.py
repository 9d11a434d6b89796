"""What every unit of a chip did in every cycle, written as a file that Perfetto opens (docs/timeline.md)."""
