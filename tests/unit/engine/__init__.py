"""Tests of scriptix_operator.engine."""
