"""How fetched log lines are merged into segments that fit into ConfigMaps."""
