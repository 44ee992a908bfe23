"""The simulated service: keys, limits and models, and the replies to requests.

Pure except for its own state: the time is an argument, and nothing here uses sockets. The checks
have this order: key (401), path (404, 405), scope (403), limit (429), body (400), model (404),
status (409), data (400). A refusal before or by the limit uses no quota; a later refusal uses a
call, since the service had to read the model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from pydantic import JsonValue

from . import replies
from .calls import CallBook
from .config import Access, SimulatorConfig, fingerprint
from .faults import Call, FaultQueue
from .model import Model, Status, begin, change, create
from .replies import Reply
from .scripts import ModelChange, ModelScript
from .units import Limit
from .views import log_body, model_body, started_body
from .windows import WindowQuota, Windows

__all__ = ["MAX_BODY", "ApiRequest", "SimulatorState", "endpoint"]

MAX_BODY = 65_536
"""Bytes of a body that the service accepts; a start has two."""

_PATH = re.compile(r"/api/v3/custom_models/([^/]+)(/run|/log)?/?")
_ID = re.compile(r"[0-9]{1,18}")
_EMPTY_OBJECT = re.compile(rb"\s*\{\s*\}\s*")
_CALLS: dict[str | None, tuple[Call, str]] = {
    None: ("model", "GET"),
    "/run": ("run", "POST"),
    "/log": ("log", "GET"),
}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request, as far as the service uses it.

    Attributes:
        method: HTTP method.
        path: HTTP path without the query.
        credential: The value of the auth header.
        content_type: The media type alone.
        body: The bytes of the body; None: more than MAX_BODY.
    """

    method: str
    path: str
    credential: str | None = None
    content_type: str = ""
    body: bytes | None = b""

    @property
    def is_empty_object(self) -> bool:
        """Whether the body is `{}` sent as JSON."""
        is_json = self.content_type == "application/json"
        return is_json and _EMPTY_OBJECT.fullmatch(self.body or b"") is not None


def endpoint(request: ApiRequest) -> tuple[Call, int | None]:
    """Return the kind of call of a request, and the model that it names, if any."""
    found = _PATH.fullmatch(request.path)
    if found is None:
        return "other", None
    model = int(found[1]) if _ID.fullmatch(found[1]) else None
    call, method = _CALLS[found[2]]
    return (call if request.method == method else "other"), model


class SimulatorState:
    """The state of the service.

    Args:
        config: The configuration.
        now: The time at the start, in unix seconds.
    """

    def __init__(self, config: SimulatorConfig, now: float) -> None:
        self.config = config
        self.keys: dict[str, Access] = dict(config.keys)
        self.models: dict[int, Model] = {}
        self.calls = CallBook(config.keep_calls)
        self.faults = FaultQueue()
        self._before: dict[int, Model] = {}
        self._windows = Windows(config.window, config.speed)
        self._limits: dict[Call, tuple[Limit, ...]] = {
            "run": config.limit_starts,
            "model": config.limit_status,
            "log": config.limit_logs,
            "other": (),
        }
        for model, script in config.scenario.models.items():
            self.put(model, script, now)
        for fault in config.scenario.faults:
            self.faults.add(fault)

    def put(self, model: int, script: ModelScript, now: float) -> Model:
        """Create a model, replacing one with this id, and return it."""
        made = create(model, script, now, self.config.speed)
        self.models[model] = made
        self._before.pop(model, None)
        return made

    def patch(self, model: int, wanted: ModelChange, now: float) -> Model:
        """Change a model and return it.

        Raises:
            KeyError: There is no such model.
            NoRunError: A run is to end and none is under way.
            pydantic.ValidationError: The changed script is invalid.
        """
        return self._replace(change(self.models[model], wanted, now, self.config.speed))

    def remove(self, model: int) -> None:
        """Remove a model.

        Raises:
            KeyError: There is no such model.
        """
        del self.models[model]
        self._before.pop(model, None)

    def key_of(self, request: ApiRequest) -> str | None:
        """Return the key of a request, known or unknown; None: no credential."""
        if not request.credential:
            return None
        scheme = self.config.auth_scheme
        if not scheme:
            return request.credential
        sent, _, key = request.credential.partition(" ")
        return key.strip() if sent.lower() == scheme.lower() else ""

    def answer(self, request: ApiRequest, now: float, *, stale: bool = False) -> Reply:
        """Act on a request and return the reply, with its headers.

        Args:
            request: The request.
            now: When the service acts on the request, in unix seconds.
            stale: Show a model as it was before its last start or change.
        """
        call, _ = endpoint(request)
        key = self.key_of(request)
        access = None if key is None else self.keys.get(key)
        if key is None:
            reply = replies.missing_key()
        elif access is None:
            reply = replies.invalid_key()
        elif access == "revoked":
            reply = replies.revoked_key()
        elif call == "other":
            reply = _no_endpoint(request)
        elif call == "run" and access == "read":
            reply = replies.insufficient_scope()
        else:
            return self._limited(request, call, key, now, stale=stale)
        return self._rate_info(reply, self._reads(call, key, access, now))

    def _limited(
        self, request: ApiRequest, call: Call, key: str, now: float, *, stale: bool
    ) -> Reply:
        limits = self._limits[call]
        quota = self._windows.of((key, call), limits).take(now) if limits else None
        if quota is None or quota.allowed:
            return self._rate_info(self._served(request, call, now, stale=stale), quota)
        refused = replies.rate_limited(
            quota.limit,
            quota.reset,
            quota.retry_after,
            rate_info=self.config.rate_headers != "never",
            hint=self.config.retry_hint,
        )
        return self._rate_info(refused, quota)

    def _served(self, request: ApiRequest, call: Call, now: float, *, stale: bool) -> Reply:
        if request.body is None:
            return replies.too_large()
        if call == "run" and not request.is_empty_object:
            return replies.bad_request("The body must be {} with Content-Type: application/json")
        model = self._find(request, now)
        if model is None:
            return replies.model_not_found(request.path.split("/")[4])
        match call:
            case "run":
                return self._start(model, self.key_of(request) or "", now)
            case "log":
                return self._wrapped(log_body(model, now))
            case _:
                shown = self._before.get(model.id, model) if stale else model
                return self._wrapped(model_body(shown, now))

    def _find(self, request: ApiRequest, now: float) -> Model | None:
        model = endpoint(request)[1]
        if model is None:
            return None
        if model not in self.models and self.config.any_model:
            return self.put(model, self.config.scenario.default, now)
        return self.models.get(model)

    def _start(self, model: Model, key: str, now: float) -> Reply:
        status = model.status(now)
        startable = {Status.READY}
        if self.config.lenient:
            startable |= {Status.RUNNING, Status.SUCCEEDED, Status.FAILED}
        run = model.running(now)
        if run is not None and Status.RUNNING not in startable:
            return replies.training_in_progress(int(run.progress(now)))
        if status not in startable:
            return replies.model_not_ready(status)
        if model.script.data_hours < replies.REQUIRED_HOURS:
            return replies.insufficient_data(model.script.data_hours)
        begun = self._replace(begin(model, now, self.config.speed, fingerprint(key)))
        run_start_time = begun.runs[-1].run_start_time
        if not self.config.run_body:
            return Reply(204, started=run_start_time)
        return replace(self._wrapped(started_body(begun, now)), started=run_start_time)

    def _replace(self, model: Model) -> Model:
        self._before[model.id] = self.models[model.id]
        self.models[model.id] = model
        return model

    def _wrapped(self, body: dict[str, JsonValue]) -> Reply:
        return Reply.of({"result": body} if self.config.wrapped else body)

    def _reads(
        self, call: Call, key: str | None, access: Access | None, now: float
    ) -> WindowQuota | None:
        limits = self._limits[call]
        if not limits:
            return None
        # A caller without a valid key sees windows that no call is charged to.
        return self._windows.of((key if access else None, call), limits).reads(now)

    def _rate_info(self, reply: Reply, quota: WindowQuota | None) -> Reply:
        when = self.config.rate_headers
        if (
            quota is None
            or when == "never"
            or (when == "refused" and reply.status != HTTPStatus.TOO_MANY_REQUESTS)
        ):
            return reply
        rate_info: Mapping[str, str] = {
            "X-RateLimit-Limit": str(quota.limit),
            "X-RateLimit-Remaining": str(quota.remaining),
            "X-RateLimit-Reset": str(quota.reset),
        }
        return replace(reply, headers={**reply.headers, **rate_info})


def _no_endpoint(request: ApiRequest) -> Reply:
    found = _PATH.fullmatch(request.path)
    if found is None:
        return replies.no_such_path()
    return replies.method_not_allowed(_CALLS[found[2]][1])
