"""Mutants: one rule of docs/cycle-model.md broken in the hardware or in an engine, and the check that must notice.

To add one, write it into the list of its target (hardware_*.py, reference.py, fast.py, dataflows.py):

    rtl("R2", "FIFO one deeper", Edit("core", "_units", "p.run.core.fifo_depth", "p.run.core.fifo_depth + 1")),

rule, name, then edits: module, function, what is there, what is to stand there (edits.py says what a pattern may be).
`python -m tests.mutants --scan 500 "FIFO one deeper"` finds where it shows; `--table` writes how many each rule has.
The first of each rule and target runs by default, the others with `pytest -m slow tests/mutants`. New modules of hwsim/rtl
and of the engines are copied without being named here; a target fed from planes needs `plane_log` in mutation.py.
"""
