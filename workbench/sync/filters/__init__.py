"""Filters: what is known of an asset's state, carried on by the model's kernel and corrected by each reading.

All follow one protocol (`protocol.Filter`): `init` gives a state, `predict` carries it to the next readings, `update`
takes these in, and `run` does both for many cycles in one compiled loop. States are plain arrays.
"""
