"""How the start of a run is decided (docs/start-protocol.md)."""
