"""The Kubernetes rim: the watch, the status writer, and the objects beside the resource."""
