"""Tests of the benchmarks: what they measure against, and how they tell it."""
