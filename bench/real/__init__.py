"""The benchmark on real processes: etcd, kube-apiserver, simulator and operator, in real time.

`make bench-real` measures the operator, and beside it a minimal operator as Kopf's documentation
has it (`baseline_operator`), in the same run. docs/performance.md explains rows and columns.

`rows` has the scenarios, `scene` runs one of them for one side, and `figures`, `tables` and `bars`
make the result.
"""
