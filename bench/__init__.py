"""Benchmarks: the operator beside what people have today, on one simulator, in virtual time.

`make bench` prints a table for each scenario and one of the bars. Each run with
one seed prints the same.
"""
