"""Gates: a unit of the golden hardware in the cells of a Liberty library, simulated, with what its cells take and switch.

`liberty` reads a library, `netlist` has yosys map a unit to it, `simulate` counts what toggles. hwsim/rtl/priced_units.py says
which units, under which stimuli. Neither the library nor yosys is in this tree; both are given by path.
"""
