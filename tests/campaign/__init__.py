"""Patterns that break controllers: edits of each property, stale and lost events, and rest."""
