"""The promises to users of Argo CD and Flux, tried with the code of Argo CD and Flux.

`states` is the table of what each state has to look like, `customizations` makes what is shipped in
gitops/argocd, `argocd` and `repository` run the real product; go.mod pins all of it.
"""
