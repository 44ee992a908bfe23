"""Go programs for tests, built from pinned modules and kept in the user's cache.

A set of tools is a folder with go.mod and go.sum (their `tool` block names the main packages) and
a `ToolSet` that names the results. `build` finds or builds the binaries, with a Go that
`toolchain` finds or installs.
"""
