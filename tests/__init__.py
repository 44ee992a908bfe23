"""Tests of the operator, the simulator and the tools around them."""
