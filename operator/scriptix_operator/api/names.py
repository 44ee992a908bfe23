"""Names that manifests, objects and people use. Changing one breaks users."""

GROUP = "scriptix.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "CustomModelTraining"
PLURAL = "custommodeltrainings"
SINGULAR = "custommodeltraining"
SHORT_NAME = "cmt"
CATEGORY = "scriptix"
CRD_NAME = f"{PLURAL}.{GROUP}"

REQUESTED_AT_ANNOTATION = f"{GROUP}/requested-at"
"""Asks for another run, as spec.runToken does, without an edit of the spec."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "scriptix-operator"
TRAINING_LABEL = f"{GROUP}/training"
RUN_LABEL = f"{GROUP}/run"
ARGOCD_IGNORE_UPDATES = {"argocd.argoproj.io/ignore-resource-updates": "true"}
"""Annotation without which Argo CD takes each update of an object beside a resource for news."""

DEFAULT_SECRET = "scriptix-api-key"  # noqa: S105 - the name of a Secret, not its content
DEFAULT_SECRET_KEY = "api-key"  # noqa: S105 - the same

LEASE = "scriptix-operator"
"""Of an installation, in the operator's namespace: whoever holds it works."""
LEDGER = "scriptix-operator-ledger"
"""ConfigMap beside it."""
PROBLEMS_ANNOTATION = f"{GROUP}/problems"
"""On the Lease: what its holder cannot do now; empty: nothing is known."""
WATCHES_ANNOTATION = f"{GROUP}/watch-namespaces"
"""On the Lease: the namespaces that its holder serves, comma separated, or `*`."""

NAME_MAX_LENGTH = 52
"""Names of ConfigMaps beside the resource append up to 9 characters; labels hold 63."""
