"""Decisions about the cluster: leader election, permissions, other installations."""
