"""The objects of the cluster that the commands read and change, with the rights of the caller."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.refusals import (
    NOT_FOUND,
    UNAUTHORIZED,
    UnreachableError,
    explain_refusal,
    no_kubeconfig,
)
from scriptix_operator.api.names import CRD_NAME, GROUP, KIND, PLURAL, QUOTA, SHORT_NAME, VERSION
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.scheduling.quota_document import DATA_KEY, QuotaDocument, parse
from scriptix_operator.kube.parsing import UnreadableError, parse_training

__all__ = ["Cluster", "Target", "read_training"]

PAGE = 500
"""Objects in one page of a list."""
TIMEOUT = (5, 30)
"""Seconds to connect, and to wait for a reply."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster and namespace the caller names.

    Args:
        kubeconfig: A file; None: KUBECONFIG, then ~/.kube/config.
        context: A context of the file; None: the current one.
        namespace: A namespace; None: that of the context.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None


class Cluster:
    """A connection with the credentials of the caller.

    Args:
        target: Which cluster and namespace.

    Attributes:
        namespace: The namespace of the caller.

    Raises:
        PluginError: There is no usable kubeconfig.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.namespace = target.namespace or self._context_namespace()
        self._connect()

    def _context_namespace(self) -> str:
        try:
            contexts, current = config.list_kube_config_contexts(self._target.kubeconfig)
        except (ConfigException, OSError) as error:
            raise no_kubeconfig(error) from error
        wanted = self._target.context
        chosen = next((one for one in contexts if one["name"] == wanted), current)
        if wanted is not None and chosen["name"] != wanted:
            names = ", ".join(one["name"] for one in contexts)
            raise PluginError(
                f"the kubeconfig has no context {wanted!r}; it has {names}", ExitStatus.USAGE
            )
        return str(chosen["context"].get("namespace") or "default")

    def _connect(self) -> None:
        """Read the kubeconfig, also again: an expired token is replaced there."""
        configuration = client.Configuration()
        configuration.retries = False
        try:
            config.load_kube_config(
                config_file=self._target.kubeconfig,
                context=self._target.context,
                client_configuration=configuration,
                persist_config=False,
            )
        except (ConfigException, OSError) as error:
            raise no_kubeconfig(error) from error
        self._api = client.ApiClient(configuration)
        self._custom = client.CustomObjectsApi(self._api)
        self._core = client.CoreV1Api(self._api)

    # Trainings.

    def trainings(self, namespace: str | None) -> list[Training]:
        """All trainings of a namespace, or of all namespaces, by namespace and name."""
        found = [one for raw in self.raw_trainings(namespace) if (one := _parsed(raw)) is not None]
        return sorted(found, key=lambda training: training.key)

    def raw_trainings(self, namespace: str | None) -> Iterator[dict[str, Any]]:
        """The same trainings as the API server returns them."""
        token = ""
        while True:
            page = self._call(f"list {PLURAL}", self._page, namespace, token)
            yield from page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return

    def _page(self, namespace: str | None, token: str) -> dict[str, Any]:
        options: dict[str, Any] = {"limit": PAGE, "_continue": token, "_request_timeout": TIMEOUT}
        if namespace is None:
            page = self._custom.list_cluster_custom_object(GROUP, VERSION, PLURAL, **options)
        else:
            page = self._custom.list_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURAL, **options
            )
        return cast("dict[str, Any]", page)

    def training(self, name: str) -> Training:
        """One training of the caller's namespace.

        Raises:
            PluginError: There is none of that name, or it cannot be read.
        """
        return read_training(self.raw_training(name))

    def raw_training(self, name: str, namespace: str | None = None) -> dict[str, Any]:
        """The same training as the API server returns it."""
        found = self._call(
            f"get {SHORT_NAME} {name}",
            self._custom.get_namespaced_custom_object,
            GROUP,
            VERSION,
            namespace or self.namespace,
            PLURAL,
            name,
            _request_timeout=TIMEOUT,
        )
        return cast("dict[str, Any]", found)

    def patch_spec(self, name: str, spec: Mapping[str, Any]) -> Training:
        """Change fields of spec by a merge patch; returns the training afterwards."""
        found = self._call(
            f"patch {SHORT_NAME} {name}",
            self._custom.patch_namespaced_custom_object,
            GROUP,
            VERSION,
            self.namespace,
            PLURAL,
            name,
            {"spec": dict(spec)},
            field_manager="kubectl-scriptix",
            field_validation="Strict",
            _content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT,
        )
        return parse_training(cast("dict[str, Any]", found))

    # Other objects.

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """The data of a ConfigMap; None if there is none of that name."""
        try:
            found = self._call(
                f"get configmap {namespace}/{name}",
                self._core.read_namespaced_config_map,
                name,
                namespace,
                _request_timeout=TIMEOUT,
            )
        except PluginError as error:
            if isinstance(error.__cause__, ApiException) and error.__cause__.status == NOT_FOUND:
                return None
            raise
        return dict(found.data or {})

    def quota_document(self, namespace: str) -> QuotaDocument | None:
        """The quota that the operator in a namespace publishes; None: it publishes none.

        Raises:
            PluginError: The caller may not read it, or it is of another version.
        """
        data = self.config_map(namespace, QUOTA)
        if data is None or DATA_KEY not in data:
            return None
        try:
            return parse(data[DATA_KEY])
        except ValueError as error:
            raise PluginError(f"ConfigMap {namespace}/{QUOTA} cannot be read: {error}.") from error

    def events(self, training: Training) -> list[Any]:
        """The events of a training, oldest first."""
        selector = f"involvedObject.kind={KIND},involvedObject.name={training.key.name}"
        found = self._call(
            "list events",
            self._core.list_namespaced_event,
            training.key.namespace,
            field_selector=f"{selector},involvedObject.uid={training.uid}",
            _request_timeout=TIMEOUT,
        )
        return sorted(found.items, key=lambda event: event.last_timestamp or event.event_time)

    def crd(self) -> dict[str, Any]:
        """The installed CustomResourceDefinition, as the API server returns it."""
        found = self._call(
            f"get crd {CRD_NAME}",
            self._custom.get_cluster_custom_object,
            "apiextensions.k8s.io",
            "v1",
            "customresourcedefinitions",
            CRD_NAME,
            _request_timeout=TIMEOUT,
        )
        return cast("dict[str, Any]", found)

    def may(self, verb: str, group: str, resource: str, *, all_namespaces: bool = False) -> bool:
        """Whether the caller has a right in the caller's namespace, or in all namespaces."""
        attributes = client.V1ResourceAttributes(
            namespace="" if all_namespaces else self.namespace,
            verb=verb,
            group=group,
            resource=resource,
        )
        review = self._call(
            "ask for your rights",
            client.AuthorizationV1Api(self._api).create_self_subject_access_review,
            client.V1SelfSubjectAccessReview(
                spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
            ),
            _request_timeout=TIMEOUT,
        )
        return review.status is not None and bool(review.status.allowed)

    # Inside.

    def _call(self, what: str, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - passed on
        """Make a request, and say what failed and what to do about it."""
        try:
            return call(*args, **kwargs)
        except ApiException as error:
            if error.status == UNAUTHORIZED:
                self._connect()  # the next request uses a renewed token
            raise explain_refusal(what, error, self.namespace) from error
        except (HTTPError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise UnreachableError(
                f"cannot {what}: the API server at {self._api.configuration.host} does not "
                f"answer ({reason})"
            ) from error


def read_training(raw: dict[str, Any]) -> Training:
    """The training that the API server has returned.

    Raises:
        PluginError: Too little of the resource can be read.
    """
    try:
        return parse_training(raw)
    except UnreadableError as error:
        raise PluginError(f"{error}. Update the plugin, or correct the resource.") from error


def _parsed(raw: dict[str, Any]) -> Training | None:
    """The training; None where too little of the resource can be read."""
    try:
        return parse_training(raw)
    except UnreadableError:
        return None
