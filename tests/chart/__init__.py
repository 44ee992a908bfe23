"""The chart and deploy/, read by the tools that people use: helm, kubeconform, kubectl."""
