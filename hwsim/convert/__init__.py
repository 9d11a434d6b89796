"""ANN to SNN: data sets, source networks and their training (torch), and one file for each published conversion.

torch is the optional extra `hwsim[torch]`; importing this package does not load it, its modules `networks`,
`activations`, `regulariser`, `train`, `checkpoint` and `single_spike` do.
"""
