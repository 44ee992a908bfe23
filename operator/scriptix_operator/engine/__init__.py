"""The shell around the core: carries out its decisions, records them, and waits on one timer."""
