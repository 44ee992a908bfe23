"""Recorded runs of each version, which every later version continues (README.md)."""
