"""Tests of scriptix_operator.core."""
