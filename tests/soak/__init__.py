"""A soak: a real control plane, the simulator and operators for minutes, with random faults."""
