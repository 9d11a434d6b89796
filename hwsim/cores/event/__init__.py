"""The event core: lanes that add a spike's weights to membrane words, and its twin that multiplies activations.

`tiles` and `mapping` cut layers for it, `misfits` says what does not fit, `fields` and `dataflow_fields` are its YAML, `parts`
its hardware for prices. Its cycles are decided in hwsim/engine.
"""
