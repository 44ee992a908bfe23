"""Tests of core/reconcile."""
