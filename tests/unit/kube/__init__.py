"""Tests of scriptix_operator.kube that need no cluster."""
