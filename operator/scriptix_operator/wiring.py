"""Builds the operator from its settings, runs it, and takes it down in order."""

import asyncio
import logging
import math
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from kubernetes.aio.client import ApiClient

from scriptix_operator.api.names import LEASE, LEDGER, PROBLEMS_ANNOTATION
from scriptix_operator.core.installation import watches_note
from scriptix_operator.core.lane import Call
from scriptix_operator.core.lessons import PLANS
from scriptix_operator.core.situation import Durations
from scriptix_operator.engine.caller import Caller
from scriptix_operator.engine.calls import Calls
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.engine import Engine
from scriptix_operator.engine.fence import Fence
from scriptix_operator.engine.lanes import Lanes
from scriptix_operator.engine.ledger import StartLedger
from scriptix_operator.engine.logfetcher import LogFetcher
from scriptix_operator.engine.recorder import Recorder
from scriptix_operator.engine.roster import Roster
from scriptix_operator.engine.serving import Serving
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.starter import Starter
from scriptix_operator.engine.stepper import Stepper
from scriptix_operator.engine.timer import Timer
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.connection import configure, connect, reconnect
from scriptix_operator.kube.errors import UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.leadership import Leadership, new_identity
from scriptix_operator.kube.ledger import LedgerConfigMap
from scriptix_operator.kube.logstore import LogStore
from scriptix_operator.kube.schema import SchemaMissingError, check_schema
from scriptix_operator.kube.secrets import DefaultKey, Keys
from scriptix_operator.kube.trainings import Trainings
from scriptix_operator.kube.watch import Watch
from scriptix_operator.scriptix.client import ScriptixClient, Timeouts
from scriptix_operator.settings import Settings
from scriptix_operator.telemetry.health import Heartbeat, Problems, Readiness
from scriptix_operator.telemetry.http import TelemetryServer
from scriptix_operator.telemetry.logs import hide
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["RECORDING", "Rim", "assemble", "operate"]

TIMER = "The engine's timer"
WATCH = "The watch"
LEASE_TEXT = 1024
"""Characters about problems in the Lease."""
CONNECT_RETRY = 3.0
"""Seconds between looks for an API server that is away at the start."""
RECORDING = 5.0
"""Seconds for the outcome of a start to be recorded, beside those for its reply, when this process
is told to end. What follows may take seven more: the Lease is released, and Kopf ends."""
RECONNECT_EACH = 10
"""Failures after which the cluster's CA and credentials are read again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What stands whether this process leads or not."""

    settings: Settings
    api: ApiClient
    watch: Watch
    metrics: Metrics
    heartbeat: Heartbeat
    problems: Problems
    shutdown: Shutdown


@dataclass(frozen=True, slots=True)
class Rim:
    """All that an engine meets the world by: the two APIs, time, luck, its leadership, its end."""

    client: ScriptixClient
    keys: Keys
    trainings: Trainings
    config_maps: ConfigMaps
    log_store: LogStore
    ledger: LedgerConfigMap
    events: Events
    clock: Clock
    luck: Callable[[], float]
    fence: Fence
    leads_until: Callable[[], float]
    shutdown: Shutdown = field(default_factory=Shutdown)


async def operate(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT, and until the starts under way are recorded.

    Raises:
        ClusterUnreachableError, SchemaError, KubeError: It could not begin.
        ExceptionGroup: A part of it failed for good, or the leadership was lost: the process is to
            end, and its successor starts from what is recorded.
    """
    me, loop = asyncio.current_task(), asyncio.get_running_loop()
    if me is None:
        raise RuntimeError("operate must run in a task")
    shutdown = Shutdown()

    def stop(name: str) -> None:
        # Another cancel would cut off a start, or the release of the Lease; wrappers often send a
        # signal twice. So ctrl-C twice is no hard exit: each step down is bounded, and who cannot
        # wait for them has SIGQUIT (ctrl-\) and SIGKILL.
        if shutdown.is_begun:
            logger.info("%s: stopping already", name)
            return
        logger.info("%s: stopping", name)
        shutdown.begin()
        me.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    try:
        await _operate(settings, shutdown)
    except asyncio.CancelledError:
        if not shutdown.is_begun:
            raise
        me.uncancel()


async def _operate(settings: Settings, shutdown: Shutdown) -> None:
    heartbeat, readiness, problems = (
        Heartbeat(),
        Readiness("Connecting to the cluster."),
        Problems(),
    )
    metrics = Metrics(problems)
    server = TelemetryServer(
        (settings.http_host, settings.http_port),
        registry=metrics.registry,
        heartbeat=heartbeat,
        readiness=readiness,
        problems=problems,
    )
    with server, shutdown.calling(lambda: readiness.unset("Stopping.")):
        logger.info("health and metrics are served on port %s", server.port)
        async with (
            connect(await configure()) as api,
            # Left after the leadership: a standby need not wait until Kopf has said goodbye.
            Watch(api, settings.watch_namespaces, problems, partial(reconnect, api)) as watch,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(heartbeat.follow_event_loop())
            await _check_schema(api, readiness)
            readiness.set()
            await _lead(Parts(settings, api, watch, metrics, heartbeat, problems, shutdown))


async def _check_schema(api: ApiClient, readiness: Readiness) -> None:
    """See that the CRD is there, once the API server answers.

    A process that ended with the API server, or because the CRD is being replaced, would be
    restarted later each time: after minutes it would be the last to notice that it is over.
    """
    failures = 0
    while True:
        try:
            return await check_schema(api)
        except UnavailableError as error:
            logger.warning("waiting for the API server: %s", error)
            readiness.unset("Connecting to the cluster.")
        except SchemaMissingError as error:
            logger.warning("waiting for the CRD: %s", error)
            readiness.unset(f"{error}.")
        failures += 1
        if failures % RECONNECT_EACH == 0:
            await reconnect(api)
        await asyncio.sleep(CONNECT_RETRY)


async def _lead(parts: Parts) -> None:
    """Wait for the leadership, work as long as it lasts, and give it up."""
    settings = parts.settings
    if not settings.leader_election:
        await _work(parts, None)
        return
    clock = Clock()
    leadership = Leadership(
        parts.api,
        namespace=settings.pod_namespace,
        name=LEASE,
        identity=new_identity(settings.pod_name),
        notes=lambda: _lease_notes(parts),
        problems=parts.problems,
        reconnect=partial(reconnect, parts.api),
        utc_now=clock.now,
        clock=clock.monotonic,
    )
    try:
        await leadership.acquire()
        await _work(parts, leadership)
    finally:
        await leadership.release()


def _lease_notes(parts: Parts) -> Mapping[str, str]:
    """What the Lease says of this process while it leads; `scriptix-operator check` reads it."""
    problems = " ".join(parts.problems.sentences())[:LEASE_TEXT]
    return {**watches_note(parts.settings.watch_namespaces), PROBLEMS_ANNOTATION: problems}


async def _work(parts: Parts, leadership: Leadership | None) -> None:
    parts.metrics.leading(leads=True)
    engine, client = _build(parts, leadership)
    try:
        async with client, asyncio.TaskGroup() as tasks:
            if leadership is not None:
                tasks.create_task(leadership.hold())
            tasks.create_task(_watch(parts, engine))
            with parts.heartbeat.watching(TIMER) as beat:
                await engine.run(beat)
    finally:
        parts.metrics.leading(leads=False)


async def _watch(parts: Parts, engine: Engine) -> None:
    with parts.heartbeat.watching(WATCH) as beat:
        await parts.watch.run(engine.seen, beat, engine.relist)


def _build(parts: Parts, leadership: Leadership | None) -> tuple[Engine, ScriptixClient]:
    settings, api, clock = parts.settings, parts.api, Clock()
    client = ScriptixClient(
        base_url=settings.base_url,
        auth_header=settings.auth_header,
        auth_scheme=settings.auth_scheme,
        timeouts=Timeouts(total=settings.post_timeout),
    )
    default = DefaultKey(
        settings.pod_namespace, settings.default_secret, settings.may_use_default_key
    )
    config_maps = ConfigMaps(api)
    rim = Rim(
        client=client,
        keys=Keys(api, default, ttl=settings.secret_ttl, clock=clock.monotonic, hide=hide),
        trainings=Trainings(api),
        config_maps=config_maps,
        log_store=LogStore(config_maps),
        ledger=LedgerConfigMap(api, settings.pod_namespace, LEDGER),
        events=Events(api, settings.pod_name),
        clock=clock,
        luck=random.random,
        fence=Fence(),
        leads_until=lambda: _leads_until(leadership),
        shutdown=parts.shutdown,
    )
    if not settings.watch_namespaces:
        return assemble(settings, rim, parts.metrics, parts.problems), client
    # Kopf ends at the first namespace that it may not list; it watches those that are listed.
    parts.watch.set_namespaces(frozenset())
    serve = parts.watch.set_namespaces
    return assemble(settings, rim, parts.metrics, parts.problems, serve), client


def assemble(
    settings: Settings,
    rim: Rim,
    metrics: Metrics,
    problems: Problems | None = None,
    serve: Callable[[frozenset[str]], None] = lambda _: None,
) -> Engine:
    """Put an engine together from what it meets the world by.

    Args:
        settings: Of the operator.
        rim: What it meets.
        metrics: Where it counts.
        problems: Where it reports what fails.
        serve: Has these namespaces watched.
    """
    problems = problems or Problems()
    clock, roster, timer = rim.clock, Roster(metrics.training), Timer(rim.clock.monotonic)
    coverage = Coverage(settings.watch_namespaces)
    limits = {
        Call.START: settings.limit_starts,
        Call.STATUS: settings.limit_status,
        Call.LOG: settings.limit_logs,
    }
    lanes = Lanes(limits, timer, clock, rim.luck)
    ledger = StartLedger(
        store=rim.ledger,
        roster=roster,
        gap=coverage.gap,
        # A day's plan may yet be learned, or have been: then a day's starts count.
        window=timedelta(seconds=max(*PLANS, *(each.seconds for each in settings.limit_starts))),
        clock=clock,
        metrics=metrics,
        problems=problems,
    )
    calls = Calls(lanes, ledger, clock, metrics)
    caller = Caller(
        client=rim.client,
        keys=rim.keys,
        lanes=lanes,
        calls=calls,
        roster=roster,
        coverage=coverage,
        clock=clock,
        ledger=ledger,
        fence=rim.fence,
        send_until=rim.leads_until,
        send_window=settings.send_window,
        shutdown=rim.shutdown,
    )
    recorder = Recorder(
        trainings=rim.trainings,
        config_maps=rim.config_maps,
        events=rim.events,
        roster=roster,
        clock=clock,
        metrics=metrics,
        installation=settings.pod_namespace,
    )
    serving = Serving(
        installation=settings.pod_namespace,
        roster=roster,
        recorder=recorder,
        events=rim.events,
        clock=clock,
        metrics=metrics,
        problems=problems,
    )
    durations = Durations(
        send_window=settings.send_window,
        post_timeout=settings.post_timeout,
        settle=settings.settle,
        results=settings.results_wait,
        log=settings.log_wait,
    )
    starter = Starter(roster, caller, recorder, ledger, clock, durations)
    log_fetcher = LogFetcher(
        rim.client, rim.keys, lanes, calls, rim.log_store, roster, durations.log
    )
    stepper = Stepper(
        roster=roster,
        caller=caller,
        starter=starter,
        log_fetcher=log_fetcher,
        recorder=recorder,
        lanes=lanes,
        ledger=ledger,
        clock=clock,
        durations=durations,
        installation=settings.pod_namespace,
        shutdown=rim.shutdown,
    )
    return Engine(
        step=stepper.step,
        list_all=rim.trainings.all,
        roster=roster,
        coverage=coverage,
        lanes=lanes,
        events=rim.events,
        clock=clock,
        metrics=metrics,
        problems=problems,
        timer=timer,
        sweep_interval=settings.sweep_interval,
        serve=serve,
        retry_ledger=ledger.retry_refused,
        beside=serving.run,
        tell_left_alone=recorder.tell_left_alone,
        shutdown=rim.shutdown,
        start_wait=settings.post_timeout + RECORDING,
    )


def _leads_until(leadership: Leadership | None) -> float:
    """Until when this process may send, in monotonic seconds; without an election for ever."""
    if leadership is None:
        return math.inf
    return -math.inf if leadership.deadline is None else leadership.deadline
