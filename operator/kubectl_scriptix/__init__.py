"""The kubectl plugin `kubectl scriptix`."""
