"""The dense ANN baseline: a systolic array of multiply-accumulate elements that skips nothing, in closed form.

`array` has the cycles of one matrix product, `work` those of one layer, `mapping` cuts layers, `replay` runs a sample.
"""
