"""Kopf, imported without the models of the kubernetes package.

Kopf imports these models if it finds the package, to recognise objects of that package that
handlers hand over to it. Ours hand over none, and the import takes 15 MB (docs/decisions/0053). So
the package counts as not installed while Kopf is imported.
"""

import sys

_IS_HIDDEN = "kubernetes" not in sys.modules
if _IS_HIDDEN:
    sys.modules["kubernetes"] = None  # type: ignore[assignment] # as the import system documents
try:
    import kopf
finally:
    if _IS_HIDDEN:
        del sys.modules["kubernetes"]

__all__ = ["kopf"]
