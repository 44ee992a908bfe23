"""Tests of core/start."""
