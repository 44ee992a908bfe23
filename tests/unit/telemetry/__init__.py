"""Tests of scriptix_operator.telemetry."""
