"""Tests of the simulator; one file for each of its modules."""
