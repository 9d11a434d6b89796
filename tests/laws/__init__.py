"""The laws of docs/cycle-model.md, each written once and kept by the reference engine, the fast engine and the hardware.

A law class holds the laws of one group of rules: order.py R1 to R4, timing.py R5 to R9, arithmetic.py R10 to R15, flags.py R16,
sweeps.py R17 and R18, dataflows.py R19 to R24, activity.py A1 to A5, chip.py C1 to C6, vectors.py published answers, refusals.py.
An implementation inherits a class and says how a run is made: test_reference.py, test_fast.py, test_rtl.py. What belongs to one
implementation only stays beside it (tests/engine, tests/rtl).

To add a law, write a `test_` method into its class: it builds a run (runs.py), calls `self.execute`, and compares.
"""
