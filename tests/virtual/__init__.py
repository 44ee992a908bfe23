"""Virtual time: days of the operator, the API and the cluster in seconds, deterministically."""
