"""The trace file: what it holds (schema, manifest), how it is read, written and checked, and random ones (synth)."""
