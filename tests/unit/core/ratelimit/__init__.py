"""Tests of core/ratelimit."""
