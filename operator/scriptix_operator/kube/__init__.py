"""Access to the Kubernetes API: the watch, status writes, and objects beside the resource."""
