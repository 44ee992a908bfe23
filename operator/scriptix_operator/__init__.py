"""Kubernetes operator that runs custom-model trainings at the Scriptix speech API.

Layers, each importing only those to its right (checked by import-linter)::

    cli → {wiring, check, usage} → settings → engine → {kube, scriptix, telemetry} → core → api
"""

__version__ = "0.1.0"
