"""A search through everything that can happen to a start (docs/start-protocol.md).

Decisions are made by the real core (`decisions`). The engine's order of effects is modelled in
`operator_process`; the API, its network, the cluster, time and faults are modelled in
`environment`. `python -m tests.model` searches.
"""
