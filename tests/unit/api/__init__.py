"""Tests of the resource as users see it."""
