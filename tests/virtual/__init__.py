"""Virtual time: whole days of the operator, the API and the cluster in seconds, each run alike."""
