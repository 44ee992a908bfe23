"""The admin API under `/admin`: recorded calls, models, and pending faults.

The admin API is for tests and rehearsals and needs no key; by default the simulator listens on the
loopback interface only.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
)

from .clock import Clock
from .config import Access, fingerprint
from .faults import Call, Fault
from .model import Model, NoRunError
from .page import page
from .scripts import ModelChange, ModelId, ModelScript, problems
from .state import SimulatorState
from .units import isoformat
from .views import model_body

__all__ = ["create_admin"]


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


_FAULTS: TypeAdapter[list[Fault]] = TypeAdapter(Annotated[list[Fault], BeforeValidator(_listed)])


class Keys(BaseModel):
    """All keys that the simulator accepts, replacing earlier ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: dict[str, Access] = Field(min_length=1)


class _CallsQuery(BaseModel):
    """The filter of the listed calls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Call | None = None
    model: ModelId | None = None
    after: Annotated[int, Field(ge=0)] = 0


def create_admin(state: SimulatorState, clock: Clock) -> web.Application:
    """Return the application of the admin API."""
    admin = _Admin(state, clock)
    app = web.Application(middlewares=[_explain])
    app.add_routes(
        [
            web.get("/", admin.page),
            web.get("/summary", admin.summary),
            web.get("/calls", admin.calls),
            web.delete("/calls", admin.forget_calls),
            web.get("/models", admin.models),
            web.get(r"/models/{id:\d{1,18}}", admin.model),
            web.put(r"/models/{id:\d{1,18}}", admin.put_model),
            web.patch(r"/models/{id:\d{1,18}}", admin.patch_model),
            web.delete(r"/models/{id:\d{1,18}}", admin.delete_model),
            web.get("/faults", admin.faults),
            web.post("/faults", admin.add_faults),
            web.delete("/faults", admin.drop_faults),
            web.get("/keys", admin.keys),
            web.put("/keys", admin.put_keys),
        ]
    )
    return app


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn errors of the simulation into replies that describe them."""
    try:
        return await handler(request)
    except ValidationError as error:
        details: list[JsonValue] = [*problems(error)]
        return _json(
            {"error": "invalid", "details": details, "help": "GET /admin/ lists all fields"},
            HTTPStatus.UNPROCESSABLE_ENTITY,
        )
    except ValueError as error:
        return _json({"error": "invalid", "details": [str(error)]}, HTTPStatus.UNPROCESSABLE_ENTITY)
    except KeyError:
        return _json({"error": "no such model"}, HTTPStatus.NOT_FOUND)
    except NoRunError as error:
        return _json({"error": str(error)}, HTTPStatus.CONFLICT)


class _Admin:
    def __init__(self, state: SimulatorState, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=page(str(request.url.origin())), content_type="text/html")

    async def summary(self, _request: web.Request) -> web.Response:
        now = self._clock.now()
        models = self._state.models.values()
        statuses = Counter(str(model.status(now)) for model in models)
        runs: dict[str, JsonValue] = {
            str(model.id): started
            for model in models
            if (started := sum(run.key is not None for run in model.runs))
        }
        return _json(
            self._state.calls.counts()
            | {"runs_started": runs, "models": dict(sorted(statuses.items()))}
        )

    async def calls(self, request: web.Request) -> web.Response:
        query = _CallsQuery.model_validate(dict(request.query))
        found = self._state.calls.select(query.kind, query.model, query.after)
        return _json([record.as_json() for record in found])

    async def forget_calls(self, _request: web.Request) -> web.Response:
        self._state.calls.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def models(self, _request: web.Request) -> web.Response:
        return _json([self._shown(model) for model in self._state.models.values()])

    async def model(self, request: web.Request) -> web.Response:
        return _json(self._shown(self._state.models[_id(request)]))

    async def put_model(self, request: web.Request) -> web.Response:
        script = ModelScript.model_validate_json(await request.read())
        return _json(self._shown(self._state.put(_id(request), script, self._clock.now())))

    async def patch_model(self, request: web.Request) -> web.Response:
        wanted = ModelChange.model_validate_json(await request.read())
        return _json(self._shown(self._state.patch(_id(request), wanted, self._clock.now())))

    async def delete_model(self, request: web.Request) -> web.Response:
        self._state.remove(_id(request))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def faults(self, _request: web.Request) -> web.Response:
        return _json([_dumped(fault) for fault in self._state.faults.pending()])

    async def add_faults(self, request: web.Request) -> web.Response:
        for fault in _FAULTS.validate_json(await request.read()):
            self._state.faults.add(fault)
        return _json([_dumped(fault) for fault in self._state.faults.pending()])

    async def drop_faults(self, _request: web.Request) -> web.Response:
        self._state.faults.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def keys(self, _request: web.Request) -> web.Response:
        return _json({fingerprint(key): access for key, access in self._state.keys.items()})

    async def put_keys(self, request: web.Request) -> web.Response:
        self._state.keys = Keys.model_validate_json(await request.read()).keys
        return await self.keys(request)

    def _shown(self, model: Model) -> dict[str, JsonValue]:
        now = self._clock.now()
        return {
            "id": model.id,
            "status": model.status(now),
            "runs": [
                {
                    "run_start_time": isoformat(run.run_start_time),
                    "key": run.key,
                    "began_unix": run.began,
                    "ends_unix": run.ends,
                    "status": int(run.status(now)),
                    "progress": round(run.progress(now), 3),
                    "error": run.error,
                }
                for run in model.runs
            ],
            "script": _dumped(model.script),
            "view": model_body(model, now),
        }


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _dumped(value: BaseModel) -> JsonValue:
    dumped: JsonValue = value.model_dump(mode="json", exclude_unset=True)
    return dumped


def _json(body: JsonValue, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.json_response(body, status=status)
