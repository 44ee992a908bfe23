"""Checks that the CRD in the cluster can hold what this operator writes."""

from scriptix_operator.api.crd import missing_fields
from scriptix_operator.api.names import CRD_NAME
from scriptix_operator.kube.api import KubeApi, ResourceType
from scriptix_operator.kube.errors import GoneError, translated

__all__ = ["SchemaError", "SchemaMissingError", "check_schema"]

CRDS = ResourceType("apiextensions.k8s.io", "v1", "customresourcedefinitions")
SHOWN = 5


class SchemaError(Exception):
    """The CRD is missing or too old; the message says what to do."""


class SchemaMissingError(SchemaError):
    """There is no CRD; it may be about to be re-created."""


async def check_schema(api: KubeApi) -> None:
    """Check that the installed CRD has every field that the operator writes.

    Raises:
        SchemaMissingError: The CRD is not installed.
        SchemaError: The CRD lacks a field: it would silently drop the intent of a start.
        KubeError: The CRD could not be read.
    """
    try:
        with translated(f"get CustomResourceDefinition {CRD_NAME}"):
            installed = await api.get(CRDS.path(name=CRD_NAME))
    except GoneError as error:
        raise SchemaMissingError(
            f"CustomResourceDefinition {CRD_NAME} is not installed; apply the output of "
            "`scriptix-operator crd`"
        ) from error
    missing = missing_fields(installed)
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        raise SchemaError(
            f"CustomResourceDefinition {CRD_NAME} lacks {shown}; apply the output of this "
            "version's `scriptix-operator crd`"
        )
