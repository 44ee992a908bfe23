"""The guarantees to users of Argo CD and Flux, tested with the code of Argo CD and Flux.

`states` is the table of what tools show of each state, `customizations` makes the files in
gitops/argocd, `argocd` and `repository` run the real product; go.mod pins all of it.
"""
