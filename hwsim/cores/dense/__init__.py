"""The dense bit-serial core: an event core's pipeline that multiplies bit by bit and skips nothing (paper 000, 9.6).

`fields` is its YAML, `model` runs it, `values` counts the rows of packed values that it reads. docs/baselines.md says what it is.
"""
