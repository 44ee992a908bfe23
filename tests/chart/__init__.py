"""The chart and deploy/, checked with helm, kubeconform and kubectl."""
