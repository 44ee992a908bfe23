"""Names in manifests and objects, which users rely on. Changing a name breaks users."""

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
"""Annotation without which Argo CD reacts to each update of an object beside a resource."""

DEFAULT_SECRET = "scriptix-api-key"  # noqa: S105 - the name of a Secret, not its content
DEFAULT_SECRET_KEY = "api-key"  # noqa: S105 - the same

LEASE = "scriptix-operator"
"""Name of the Lease in the namespace of an installation: its holder is the leader."""
LEDGER = "scriptix-operator-ledger"
"""Name of the ConfigMap with the start ledger, in the same namespace."""
QUOTA = "scriptix-operator-quota"
"""Name of the ConfigMap with the quota left, in the same namespace; for people and tools."""
PROBLEMS_ANNOTATION = f"{GROUP}/problems"
"""Annotation of the Lease: the current problems of its holder; empty: none."""
WATCHES_ANNOTATION = f"{GROUP}/watch-namespaces"
"""Annotation of the Lease: the namespaces that its holder serves, comma separated, or `*`."""

NAME_MAX_LENGTH = 52
"""Characters: names of ConfigMaps beside the resource append up to 9; labels hold 63."""
