"""The telemetry of the process: logs, metrics, health."""
