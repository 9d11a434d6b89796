"""The dense ANN baseline: a systolic array of multiply-accumulate elements that skips nothing, in closed form."""
