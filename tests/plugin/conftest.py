"""The lab of the operator's tests."""

from tests.operator.conftest import cluster, lab

__all__ = ["cluster", "lab"]
