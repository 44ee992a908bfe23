"""A real Kubernetes control plane for tests and the demo, built from pinned Go modules.

`build` finds or builds the binaries, `cluster` runs them. Admission, RBAC, garbage collection and
conflicts are those of the real API server; nothing is mocked.
"""
