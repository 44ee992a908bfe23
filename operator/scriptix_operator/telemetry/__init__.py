"""What the process tells about itself: log, metrics, health."""
