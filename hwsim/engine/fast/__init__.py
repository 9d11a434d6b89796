"""The fast engine: event times in Numba, without a clock that ticks. `chip` is its face.

    chip         a Program, operation by operation         core, dataflow   one run: rules R1 to R18, and R19 to R24
    feeds        planes to event lists                      tokens           a run that is fed with a list of tokens
    packing, gather_pack, sweep_plan   what kernels read    counting         tallies to counted events
    flow_log     a CoreLog of the other dataflows           kernels          the compiled loops; cycles are in timing and dataflow
"""
