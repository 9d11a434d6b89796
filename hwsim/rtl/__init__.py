"""The event core as hardware: RTL in Amaranth that meets docs/cycle-model.md to the cycle, one file a unit.

    fifo -> address_generator -> sequencer -> issue -> memories + lanes -> serialiser        (core wires them)

`machine` simulates the core; `stimulus` says what it is given and what is observed of it. Lanes, widths, depths, the layer's
geometry and its pass table are fixed when a core is elaborated; weights, biases and states sit in memories that a host port
fills and reads. Amaranth is an optional extra (`pip install hwsim[rtl]`) and is imported nowhere else in hwsim.
"""
