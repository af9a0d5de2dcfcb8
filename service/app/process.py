"""One serving process: load, warm up, ready, drain."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TextIO, cast

import uvloop
from prometheus_client import CollectorRegistry

from service.app.announcement import CURLS, announcement
from service.app.event_loop import settle
from service.app.options import item_limits, limits
from service.app.sources import EngineModels, OwnModels, Source, StartFailed
from service.fleet.connections import SharedConnections
from service.fleet.seat import Seat
from service.fleet.shared_log import SharedLog
from service.fleet.siblings import Siblings
from service.fleet.watchdog import tell_beats
from service.http.access_log import AccessLog, JsonAccess, LoggedAccess, NoAccessLog
from service.http.application import make_application
from service.http.edge import Watching
from service.http.inventory import Inventory, describe_all
from service.http.server import HttpServer, listen, make_server, url_of
from service.link.engine import EngineEnd
from service.logs import JsonFormatter, configure_logging, number_log_records
from service.metrics import Metrics, ModelMetrics
from service.repository.lifecycle import Lifecycle
from service.repository.models import Models
from service.settings import Settings
from service.tracing.start import Tracing, TracingUnavailable, start_tracing

log = logging.getLogger("slipway.app")

OK, FAILED = 0, 1
ENGINE_SEAT = 0  # with front ends
LINK = "link.sock"  # where the engine listens for them, in the private folder of the workers
CLOSE_S = 5.0  # for workers whose last batch has no reader any more


def serve(settings: Settings, version: str) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises StartFailed."""
    configure_logging(settings.log_level, settings.log_format)
    return _run(settings, version, None)


def serve_seat(settings: Settings, version: str, seat: Seat) -> int:
    """Serve as one of several workers; what goes wrong at the start is told to the supervisor.

    With `front_ends` the first seat is the engine's, and all others are front ends.
    """
    stream = cast(TextIO, SharedLog(sys.stderr, seat.folder))
    configure_logging(settings.log_level, settings.log_format, stream)
    number_log_records(seat.number)
    try:
        return _run(settings, version, seat)
    except StartFailed as error:
        seat.tell("failed", str(error))
        return FAILED


def _run(settings: Settings, version: str, seat: Seat | None) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Service(settings, version, seat).run())


class Service:
    """One serving process, from its first log line to its exit code."""

    def __init__(self, settings: Settings, version: str, seat: Seat | None = None) -> None:
        self._settings = settings
        self._seat = seat
        registry = CollectorRegistry()
        self._tracing = _start_tracing(settings, version)
        self._metrics = Metrics.create(
            registry, self._tracing.model_metrics if self._tracing else ModelMetrics
        )
        self._metrics.describe_build(version)
        self._models = Models(Lifecycle(), settings.default_models)
        self._access_log = _access_log(seat)
        self._siblings = Siblings(seat, registry, self._require_ready) if seat is not None else None
        self._leave = asyncio.Event()
        self._watching: list[asyncio.Task[None]] = []
        self._source: Source
        self._server: HttpServer | EngineEnd
        if seat is None or not settings.front_ends:
            self._source = OwnModels(settings, self._models, self._metrics)
            self._server = self._http_server(version)
        elif seat.number == ENGINE_SEAT:
            self._source = OwnModels(settings, self._models, self._metrics)
            self._server = EngineEnd(
                seat.folder / LINK,
                self._models,
                describe=partial(describe_all, self._models),
                drain_s=settings.drain_s + settings.pre_drain_s,
                tracer=self._tracing.requests if self._tracing else None,
            )
        else:
            engine = EngineModels(settings, self._models, self._metrics, seat.folder / LINK)
            self._source = engine
            self._server = self._http_server(version, engine.remote)

    def _http_server(self, version: str, inventory: Inventory | None = None) -> HttpServer:
        settings = self._settings
        read_limits = limits(settings)
        application = make_application(
            self._models,
            self._metrics,
            limits=read_limits,
            item_limits=item_limits(settings),
            timeout_s=settings.request_timeout_s,
            version=version,
            outlook=self._siblings,
            inventory=inventory,
            watching=Watching(self._access_log, self._tracing.requests if self._tracing else None),
        )
        return make_server(
            application,
            limits=read_limits,
            drain_s=settings.drain_s,
            neighbours=SharedConnections(self._seat) if self._seat is not None else None,
        )

    def _require_ready(self) -> None:
        self._models.lifecycle.require_ready()
        self._source.require_ready()

    async def run(self) -> int:
        """Everything, in order. The port answers from the start: /livez, and 503 to the rest."""
        seat = self._seat
        self._catch_signals()
        address, begin = self._prepare_server()
        serving: asyncio.Task[None] | None = None
        # the others answer while a replacement loads, and an engine has nothing to tell before
        if seat is None or not (seat.replacement or isinstance(self._server, EngineEnd)):
            serving = begin()
        self._watch(self._metrics.watch_event_loop(), *self._source.watching())
        try:
            if self._siblings is not None:
                await self._siblings.open()
            if await self._unless_leaving(self._load()):
                serving = serving or begin()
                self._announce(announcement(self._models, address))
                await self._leave.wait()
                await self._pre_drain()
        finally:
            self._models.lifecycle.begin_drain()
            self._server.stop()
            if serving is not None:
                await serving
            if self._siblings is not None:
                self._siblings.close()
            self._stop_watching()
            await self._source.close(CLOSE_S)
            if isinstance(self._access_log, JsonAccess):
                self._access_log.flush()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close, CLOSE_S)
        log.info("drained; leaving")
        return OK

    def _prepare_server(self) -> tuple[str, Callable[[], asyncio.Task[None]]]:
        """Take the port: its address, and what begins to serve there. Raises StartFailed."""
        server, settings = self._server, self._settings
        if isinstance(server, HttpServer):
            listener = _listen(settings, shared=self._seat is not None)
            host, port = listener.getsockname()[:2]
            serve: Callable[[], Coroutine[Any, Any, None]] = partial(server.serve, [listener])
        else:  # the supervisor holds the port for the front ends
            host, port = settings.host, settings.port
            serve = server.serve

        def begin() -> asyncio.Task[None]:
            serving = asyncio.create_task(serve())
            serving.add_done_callback(lambda _: self._leave.set())  # without it, nothing to do
            return serving

        return url_of(host, port), begin

    def _announce(self, text: str) -> None:
        if self._seat is not None:
            self._watch(tell_beats(self._seat))
            self._seat.tell("ready", text)
            return
        sys.stdout.write(text)
        sys.stdout.flush()

    async def _load(self) -> None:
        watching = await self._source.load()
        for model in self._models.live:
            path, _ = CURLS[model.manifest.task]
            self._metrics.requests_expected(path, model.name, model.version)
        _require_models(self._models, strict=self._settings.strict)
        settle()
        self._watch(*watching)
        self._models.lifecycle.become_ready()

    def _watch(self, *watching: Coroutine[Any, Any, None]) -> None:
        self._watching += map(asyncio.create_task, watching)

    def _stop_watching(self) -> None:
        for task in self._watching:
            task.cancel()

    async def _unless_leaving(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do this unless a signal comes first; whether it was done."""
        doing = asyncio.create_task(work)
        leaving = asyncio.create_task(self._leave.wait())
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if doing.done():
            await doing
            return True
        doing.cancel()
        return False

    async def _pre_drain(self) -> None:
        """Not ready, but still open: balancers need a moment to take us off their lists."""
        self._models.lifecycle.begin_drain()
        log.info("draining", extra={"pre_drain_s": self._settings.pre_drain_s})
        await asyncio.sleep(self._settings.pre_drain_s)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        if self._seat is None:
            loop.add_signal_handler(signal.SIGINT, self._on_signal)
        else:  # Ctrl+C is the supervisor's; its own end is ours too
            loop.add_reader(self._seat.lifeline, self._on_lost_supervisor)
        loop.add_signal_handler(signal.SIGTERM, self._on_signal)

    def _on_lost_supervisor(self) -> None:
        asyncio.get_running_loop().remove_reader(cast(Seat, self._seat).lifeline)
        log.warning("the supervisor is gone; leaving")
        self._leave.set()

    def _on_signal(self) -> None:
        if self._leave.is_set():
            if self._seat is not None:
                return  # sent to the whole group it comes twice; the supervisor kills if it must
            log.warning("second signal: leaving at once")
            logging.shutdown()
            os._exit(FAILED)
        self._leave.set()


def _start_tracing(settings: Settings, version: str) -> Tracing | None:
    try:
        return start_tracing(settings.tracing_endpoint, version)
    except TracingUnavailable as error:
        raise StartFailed(str(error)) from error


def _listen(settings: Settings, *, shared: bool) -> socket.socket:
    try:
        return listen(settings.host, settings.port, shared=shared)
    except OSError as error:
        raise StartFailed(f"{error.strerror}; choose another with --port or --host") from error


def _access_log(seat: Seat | None) -> AccessLog:
    if not logging.getLogger("slipway.access").isEnabledFor(logging.INFO):
        return NoAccessLog()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(
            handler.formatter, JsonFormatter
        ):
            return JsonAccess(handler.stream, {} if seat is None else {"worker": seat.number})
    return LoggedAccess()


def _require_models(models: Models, *, strict: bool) -> None:
    reasons = [f"{found.name}/{found.version}: {found.reason}" for found in models.broken]
    if strict and reasons:
        raise StartFailed("\n".join((*reasons, "--no-strict serves the others all the same")))
    if not models.live:
        raise StartFailed("\n".join((*reasons, "there is no model that can be served")))
