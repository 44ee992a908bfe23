"""Builds the operator from its settings, runs it, and shuts it down in order."""

import asyncio
import logging
import math
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from scriptix_operator.api.names import LEASE, LEDGER, PROBLEMS_ANNOTATION, QUOTA
from scriptix_operator.core.cluster.installation import watched_namespaces_annotation
from scriptix_operator.core.ratelimit.named_limits import PLANS
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.controller import Controller
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.fence import Fence
from scriptix_operator.engine.installation_watch import InstallationWatch
from scriptix_operator.engine.log_fetcher import LogFetcher
from scriptix_operator.engine.metered_calls import MeteredCalls
from scriptix_operator.engine.quota_publisher import QuotaPublisher
from scriptix_operator.engine.quota_restore import QuotaRestore
from scriptix_operator.engine.reconciler import Reconciler
from scriptix_operator.engine.remote_calls import RemoteCalls
from scriptix_operator.engine.run_starter import RunStarter
from scriptix_operator.engine.run_tracer import RunTracer
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.start_sender import StartSender
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.connection import configure, connect, reconnect
from scriptix_operator.kube.errors import UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.leadership import Leadership, LeadershipExpiredError, new_identity
from scriptix_operator.kube.ledger_config_map import LedgerConfigMap
from scriptix_operator.kube.logstore import LogStore
from scriptix_operator.kube.quota_config_map import QuotaConfigMap
from scriptix_operator.kube.reachability import Reachability
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
from scriptix_operator.telemetry.tracing import WriteTrace, traces_written

__all__ = ["RECORDING", "EngineDependencies", "assemble", "operate"]

TIMER = "The engine's timer"
WATCH = "The watch"
LEASE_TEXT = 1024
"""Characters of the problems that the Lease names."""
CONNECT_RETRY = 3.0
"""Seconds between attempts to reach the API server at the start."""
RECORDING = 5.0
"""Seconds that a shutdown waits for the outcome of a start to be recorded, after the time for its
reply. Then the Lease is released and Kopf ends, which may take seven more."""
RECONNECT_EACH = 10
"""Failures after which the cluster's CA and credentials are read again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessDependencies:
    """Dependencies that exist whether this process leads or not."""

    settings: Settings
    api: KubeApi
    watch: Watch
    metrics: Metrics
    heartbeat: Heartbeat
    problems: Problems
    shutdown: Shutdown
    identity: str
    """The holder name in the Lease."""
    write_trace: WriteTrace | None


@dataclass(frozen=True, slots=True)
class EngineDependencies:
    """Dependencies of the engine: the two APIs, clocks, jitter, leadership and shutdown."""

    client: ScriptixClient
    keys: Keys
    trainings: Trainings
    config_maps: ConfigMaps
    log_store: LogStore
    ledger: LedgerConfigMap
    quota: QuotaConfigMap
    events: Events
    clock: Clock
    jitter: Callable[[], float]
    fence: Fence
    leads_until: Callable[[], float]
    reachability: Reachability = field(default_factory=Reachability)
    """Whether the API server replies."""
    write_trace: WriteTrace | None = None
    """Takes the trace of each run; None: tracing is off."""
    shutdown: Shutdown = field(default_factory=Shutdown)


async def operate(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT, and until the starts under way are recorded.

    Raises:
        ClusterUnreachableError, SchemaError, KubeError: The operator could not begin.
        ExceptionGroup: A part of the operator failed permanently, or the leadership was lost: the
            process ends, and its successor continues from the recorded state.
    """
    me, loop = asyncio.current_task(), asyncio.get_running_loop()
    if me is None:
        raise RuntimeError("operate must run in a task")
    shutdown = Shutdown()

    def stop(name: str) -> None:
        # Wrappers often send a signal twice, and another cancellation would interrupt a start or
        # the release of the Lease. So ctrl-C twice is no hard exit: each part of the shutdown is
        # bounded, and SIGQUIT (ctrl-\) and SIGKILL end the process at once.
        if shutdown.is_begun:
            logger.info("%s: already stopping", name)
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
    with (
        traces_written(os.environ, metrics) as write_trace,
        server,
        shutdown.calling(lambda: readiness.unset("Stopping.")),
    ):
        logger.info("health and metrics are served on port %s", server.port)
        identity = new_identity(settings.pod_name)

        async def contend() -> None:
            async with (
                connect(await configure()) as api,
                # Closed after the release of the Lease: a standby need not wait for Kopf to end.
                Watch(api, settings.watch_namespaces, problems, partial(reconnect, api)) as watch,
                asyncio.TaskGroup() as tasks,
            ):
                tasks.create_task(heartbeat.follow_event_loop())
                await _check_schema(api, readiness)
                readiness.set()
                await _lead(
                    ProcessDependencies(
                        settings,
                        api,
                        watch,
                        metrics,
                        heartbeat,
                        problems,
                        shutdown,
                        identity,
                        write_trace,
                    )
                )

        await _contend_again(contend, problems)


async def _contend_again(contend: Callable[[], Awaitable[None]], problems: Problems) -> None:
    """Contend for the Lease, and again after an outage of the API server.

    All work has ended by then, as if the process had. A successor would wait until the Lease has
    expired; this process, still the holder of the Lease, leads again at the first reply.
    """
    while True:
        try:
            return await contend()
        except* LeadershipExpiredError:
            problems.clear_all()
            logger.info("contending for the Lease again")


async def _check_schema(api: KubeApi, readiness: Readiness) -> None:
    """Wait for the API server, and for the CRD.

    A process that exits while the API server is unreachable, or while the CRD is being replaced, is
    restarted with growing delays, and would be minutes late when both are available again.
    """
    failures, logged = 0, ""
    while True:
        try:
            return await check_schema(api)
        except UnavailableError as error:
            text, reason = f"waiting for the API server: {error}", "Connecting to the cluster."
        except SchemaMissingError as error:
            text, reason = f"waiting for the CRD: {error}", f"{error}."
        readiness.unset(reason)
        # Without a reply, the client of the API server has logged that already.
        is_repeat = text == logged or not api.reachability.is_reachable
        logger.log(logging.DEBUG if is_repeat else logging.WARNING, "%s", text)
        logged = logged if is_repeat else text
        failures += 1
        if failures % RECONNECT_EACH == 0:
            await reconnect(api)
        await asyncio.sleep(CONNECT_RETRY)


async def _lead(process: ProcessDependencies) -> None:
    """Wait for the leadership, work while it lasts, and release it."""
    settings = process.settings
    if not settings.leader_election:
        await _work(process, None)
        return
    clock = Clock()
    leadership = Leadership(
        process.api,
        namespace=settings.pod_namespace,
        name=LEASE,
        identity=process.identity,
        notes=lambda: _lease_notes(process),
        problems=process.problems,
        reconnect=partial(reconnect, process.api),
        utc_now=clock.now,
        clock=clock.monotonic,
    )
    try:
        await leadership.acquire()
        await _work(process, leadership)
    finally:
        await leadership.release()


def _lease_notes(process: ProcessDependencies) -> Mapping[str, str]:
    """The annotations of the Lease while this process leads, for `scriptix-operator check`."""
    problems = " ".join(process.problems.sentences())[:LEASE_TEXT]
    return {
        **watched_namespaces_annotation(process.settings.watch_namespaces),
        PROBLEMS_ANNOTATION: problems,
    }


async def _work(process: ProcessDependencies, leadership: Leadership | None) -> None:
    process.metrics.leading(leads=True)
    engine, client = _build(process, leadership)
    try:
        async with client, asyncio.TaskGroup() as tasks:
            if leadership is not None:
                tasks.create_task(leadership.hold())
            tasks.create_task(_watch(process, engine))
            with process.heartbeat.watching(TIMER) as beat:
                await engine.run(beat)
    finally:
        process.metrics.leading(leads=False)


async def _watch(process: ProcessDependencies, engine: Controller) -> None:
    with process.heartbeat.watching(WATCH) as beat:
        await process.watch.run(engine.seen, beat, engine.relist)


def _build(
    process: ProcessDependencies, leadership: Leadership | None
) -> tuple[Controller, ScriptixClient]:
    settings, api, clock = process.settings, process.api, Clock()
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
    dependencies = EngineDependencies(
        client=client,
        keys=Keys(api, default, ttl=settings.secret_ttl, clock=clock.monotonic, hide=hide),
        trainings=Trainings(api),
        config_maps=config_maps,
        log_store=LogStore(config_maps),
        ledger=LedgerConfigMap(api, settings.pod_namespace, LEDGER),
        quota=QuotaConfigMap(api, settings.pod_namespace, QUOTA),
        events=Events(api, settings.pod_name),
        clock=clock,
        jitter=random.random,
        fence=Fence(),
        leads_until=lambda: _leads_until(leadership),
        reachability=api.reachability,
        write_trace=process.write_trace,
        shutdown=process.shutdown,
    )
    if not settings.watch_namespaces:
        return assemble(settings, dependencies, process.metrics, process.problems), client
    # Kopf ends at the first namespace that it may not list, so it watches only listed ones.
    process.watch.set_namespaces(frozenset())
    serve = process.watch.set_namespaces
    return assemble(settings, dependencies, process.metrics, process.problems, serve), client


def assemble(
    settings: Settings,
    dependencies: EngineDependencies,
    metrics: Metrics,
    problems: Problems | None = None,
    serve: Callable[[frozenset[str]], None] = lambda _: None,
) -> Controller:
    """Assemble an engine from its dependencies.

    Args:
        settings: The settings of the operator.
        dependencies: The dependencies of the engine.
        metrics: The metrics.
        problems: Takes reports of what fails.
        serve: Sets the namespaces to watch.
    """
    problems = problems or Problems()
    clock, store, work_queue = (
        dependencies.clock,
        TrainingStore(metrics.training, dependencies.clock),
        WorkQueue(dependencies.clock.monotonic),
    )
    coverage = Coverage(settings.watch_namespaces)
    limits = {
        Call.START: settings.limit_starts,
        Call.STATUS: settings.limit_status,
        Call.LOG: settings.limit_logs,
    }
    schedulers = KeySchedulers(limits, work_queue, clock, dependencies.jitter)
    ledger = StartLedger(
        config_map=dependencies.ledger,
        store=store,
        gap=coverage.gap,
        # A limit of up to a day may be observed: then the starts of a day count.
        window=timedelta(seconds=max(*PLANS, *(each.seconds for each in settings.limit_starts))),
        clock=clock,
        metrics=metrics,
        problems=problems,
    )
    quota_restore = QuotaRestore(schedulers, ledger, clock)
    calls = MeteredCalls(schedulers, quota_restore, clock, metrics)
    remote_calls = RemoteCalls(
        client=dependencies.client,
        keys=dependencies.keys,
        schedulers=schedulers,
        calls=calls,
        store=store,
        coverage=coverage,
        clock=clock,
        ledger=ledger,
    )
    start_sender = StartSender(
        client=dependencies.client,
        calls=calls,
        store=store,
        clock=clock,
        fence=dependencies.fence,
        send_until=dependencies.leads_until,
        send_window=settings.send_window,
        shutdown=dependencies.shutdown,
    )
    write_trace = dependencies.write_trace
    tracer = None if write_trace is None else RunTracer(write_trace, store, clock)
    status_writer = StatusWriter(
        trainings=dependencies.trainings,
        config_maps=dependencies.config_maps,
        events=dependencies.events,
        store=store,
        clock=clock,
        metrics=metrics,
        installation=settings.pod_namespace,
        on_change=None if tracer is None else tracer.status_changed,
    )
    installation_watch = InstallationWatch(
        installation=settings.pod_namespace,
        store=store,
        status_writer=status_writer,
        events=dependencies.events,
        clock=clock,
        metrics=metrics,
        problems=problems,
    )
    durations = Durations(
        send_window=settings.send_window,
        post_timeout=settings.post_timeout,
        grace_period=settings.start_grace_period,
        results=settings.results_wait,
        log=settings.log_wait,
    )
    run_starter = RunStarter(
        store,
        start_sender,
        status_writer,
        ledger,
        clock,
        durations,
        dependencies.reachability.pause,
    )
    log_fetcher = LogFetcher(
        dependencies.client,
        dependencies.keys,
        schedulers,
        calls,
        dependencies.log_store,
        store,
        durations.log,
    )
    reconciler = Reconciler(
        store=store,
        remote_calls=remote_calls,
        run_starter=run_starter,
        log_fetcher=log_fetcher,
        status_writer=status_writer,
        schedulers=schedulers,
        ledger=ledger,
        clock=clock,
        durations=durations,
        installation=settings.pod_namespace,
        shutdown=dependencies.shutdown,
    )
    return Controller(
        reconcile=reconciler.reconcile,
        list_all=dependencies.trainings.all,
        store=store,
        coverage=coverage,
        schedulers=schedulers,
        events=dependencies.events,
        clock=clock,
        metrics=metrics,
        problems=problems,
        work_queue=work_queue,
        resync_interval=settings.resync_interval,
        installation=settings.pod_namespace,
        serve=serve,
        retry_ledger=ledger.document.retry_refused,
        beside=(
            installation_watch.run,
            QuotaPublisher(dependencies.quota, schedulers, metrics).run,
            *(() if tracer is None else (tracer.run,)),
        ),
        report_left_alone=status_writer.report_left_alone,
        reachability=dependencies.reachability,
        trial=partial(dependencies.trainings.check_list, next(iter(coverage.scopes))),
        shutdown=dependencies.shutdown,
        start_wait=settings.post_timeout + RECORDING,
    )


def _leads_until(leadership: Leadership | None) -> float:
    """Monotonic seconds until which this process may send; unlimited without an election."""
    if leadership is None:
        return math.inf
    return -math.inf if leadership.deadline is None else leadership.deadline
