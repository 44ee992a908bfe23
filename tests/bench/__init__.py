"""Tests of the benchmarks: the baseline that they measure against, and their reports."""
