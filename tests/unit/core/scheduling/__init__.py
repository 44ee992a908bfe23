"""Tests of core/scheduling."""
