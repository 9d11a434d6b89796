"""ANN to SNN: a trained network becomes a Network of integers, one file for each published conversion.

`methods` lists the conversions and goes from a checkpoint to a network, its accuracy and a trace; `base` says what each of them
declares. What they share: `source` (the ANN in numbers, BatchNorm folded), `integers` (one scale per layer), `widths` (bits of
potentials), `evaluate` and `firing` (a whole test set at once). Data sets, source networks and checkpoints are in hwsim.sources,
training in hwsim.training. Importing this package loads nothing; most of its modules need torch, the extra `hwsim[torch]`.
"""
