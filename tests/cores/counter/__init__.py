"""A third core model, as small as one can be: it counts spikes, one per cycle. It proves that a kind of core is one folder."""
