"""Benchmarks: the operator and a fixed-interval loop, on one simulator, in virtual time.

`make bench` prints a table for each scenario and a summary of the bars. Runs with the same seed
print the same.
"""
