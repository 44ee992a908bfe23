"""Tests of core/follow."""
