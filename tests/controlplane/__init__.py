"""A real Kubernetes control plane for tests and the demo, built from pinned Go modules.

`build` finds or makes the binaries, `cluster` runs them. No mock answers a question here that the
real API server can answer: admission, RBAC, garbage collection and conflicts are its own.
"""
