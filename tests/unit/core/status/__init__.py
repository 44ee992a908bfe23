"""Tests of core/status."""
