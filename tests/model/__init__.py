"""A search through everything that can happen to a start (docs/start-protocol.md).

The operator's judgement is the real core; the engine's order of effects is modelled in `shell`, the
API, its network, the cluster, time and faults in `outside`. `python -m tests.model` searches.
"""
