"""Tests of core/eta."""
