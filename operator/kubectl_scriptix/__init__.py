"""The kubectl plugin `kubectl scriptix`: answers questions about trainings from the cluster."""
