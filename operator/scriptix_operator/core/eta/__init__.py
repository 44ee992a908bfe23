"""How the estimated completion of a run is calculated."""
