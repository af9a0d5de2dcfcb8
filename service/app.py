"""The composition root: load, warm up, ready, drain. The only file that sees every room."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from model_zoo.catalog import Catalog
from model_zoo.errors import ModelZooError
from service.http.access_log import AccessLog, JsonAccess, LoggedAccess, NoAccessLog
from service.http.application import CLASSIFY, SENTIMENT, TRANSLATE, make_application
from service.http.edge import Watching
from service.http.limits import Limits
from service.http.native import ItemLimits
from service.http.server import address_of, listen, make_server
from service.logs import JsonFormatter, configure_logging
from service.metrics import Metrics, ModelMetrics
from service.repository.lifecycle import Lifecycle
from service.repository.loading import load_all
from service.repository.models import Models
from service.repository.options import LoadOptions
from service.settings import Settings
from service.tasks.images import ImageLimits
from service.tracing.start import Tracing, TracingUnavailable, start_tracing

log = logging.getLogger("slipway.app")

OK, FAILED = 0, 1
CLOSE_S = 5.0  # for workers whose last batch has no reader any more

CURLS = {
    "image-classification": (CLASSIFY, "-H 'Content-Type: image/jpeg' --data-binary @photo.jpg"),
    "text-classification": (SENTIMENT, """-d '{"text": "A film to remember."}'"""),
    "translation": (TRANSLATE, """-d '{"text": "A dog runs across the street."}'"""),
}


class StartFailed(Exception):
    """The process cannot serve; the message says why, one line a reason."""


def serve(settings: Settings, version: str) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises StartFailed."""
    configure_logging(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Service(settings, version).run())


class Service:
    """One serving process, from its first log line to its exit code."""

    def __init__(self, settings: Settings, version: str) -> None:
        self._settings = settings
        self._tracing = _start_tracing(settings, version)
        self._metrics = Metrics.create(
            CollectorRegistry(), self._tracing.model_metrics if self._tracing else ModelMetrics
        )
        self._metrics.describe_build(version)
        self._models = Models(Lifecycle())
        limits = _limits(settings)
        self._access_log = _access_log()
        application = make_application(
            self._models,
            self._metrics,
            limits=limits,
            item_limits=_item_limits(settings),
            timeout_s=settings.request_timeout_s,
            version=version,
            watching=Watching(self._access_log, self._tracing.requests if self._tracing else None),
        )
        self._server = make_server(application, limits=limits, drain_s=settings.drain_s)
        self._leave = asyncio.Event()

    async def run(self) -> int:
        """Everything, in order. The port answers from the start: /livez, and 503 to the rest."""
        self._catch_signals()
        listener = _listen(self._settings)
        address = address_of(listener)
        serving = asyncio.create_task(self._server.serve([listener]))
        serving.add_done_callback(lambda _: self._leave.set())  # without a server, nothing to do
        watching = asyncio.create_task(self._metrics.watch_event_loop())
        try:
            if await self._unless_leaving(self._load()):
                _announce(self._models, address)
                await self._leave.wait()
                await self._pre_drain()
        finally:
            self._models.lifecycle.begin_drain()
            self._server.stop()
            await serving
            watching.cancel()
            await self._close_models()
            if isinstance(self._access_log, JsonAccess):
                self._access_log.flush()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close, CLOSE_S)
        log.info("drained; leaving")
        return OK

    async def _load(self) -> None:
        settings = self._settings
        try:
            live, broken = await load_all(
                _catalog(settings), _load_options(settings), self._metrics
            )
        except ModelZooError as error:
            raise StartFailed(str(error)) from error
        self._models.serve(live, broken)
        for model in live:
            path, _ = CURLS[model.manifest.task]
            self._metrics.requests_expected(path, model.name, model.version)
        _require_models(self._models, strict=settings.strict)
        self._models.lifecycle.become_ready()

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

    async def _close_models(self) -> None:
        """By now all requests have their answers; what the queues still hold has no reader."""
        for live in self._models.live:
            await asyncio.to_thread(live.close, CLOSE_S)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._leave.is_set():
            log.warning("second signal: leaving at once")
            logging.shutdown()
            os._exit(FAILED)
        self._leave.set()


def _start_tracing(settings: Settings, version: str) -> Tracing | None:
    try:
        return start_tracing(settings.tracing_endpoint, version)
    except TracingUnavailable as error:
        raise StartFailed(str(error)) from error


def _listen(settings: Settings) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        raise StartFailed(f"{error.strerror}; choose another with --port or --host") from error


def _catalog(settings: Settings) -> Catalog:
    return Catalog(settings.models) if settings.models is not None else Catalog()


def _access_log() -> AccessLog:
    if not logging.getLogger("slipway.access").isEnabledFor(logging.INFO):
        return NoAccessLog()
    if any(isinstance(h.formatter, JsonFormatter) for h in logging.getLogger().handlers):
        return JsonAccess(sys.stderr)
    return LoggedAccess()


def _limits(settings: Settings) -> Limits:
    return Limits(
        body_bytes=settings.max_body_bytes,
        body_bytes_of={CLASSIFY: settings.max_image_bytes},
        body_s=settings.body_timeout_s,
    )


def _item_limits(settings: Settings) -> ItemLimits:
    return ItemLimits(max_items=settings.max_items, max_characters=settings.max_text_characters)


def _load_options(settings: Settings) -> LoadOptions:
    return LoadOptions(
        providers=",".join(settings.providers),
        strict_providers=settings.strict_providers,
        precision=None if settings.variant == "auto" else settings.variant,
        max_batch_size=settings.max_batch_size,
        max_queue_delay_s=settings.max_queue_delay_ms / 1000,
        max_queue_size=settings.max_queue_size,
        max_queue_s=settings.max_queue_s,
        share_identical=settings.share_identical,
        cache_bytes=settings.cache_bytes,
        workers=settings.threads or None,
        image_limits=ImageLimits(
            max_pixels=settings.max_image_pixels, min_side=settings.min_image_side
        ),
    )


def _require_models(models: Models, *, strict: bool) -> None:
    reasons = [f"{found.name}/{found.version}: {found.reason}" for found in models.broken]
    if strict and reasons:
        raise StartFailed("\n".join((*reasons, "--no-strict serves the others all the same")))
    if not models.live:
        raise StartFailed("\n".join((*reasons, "there is no model that can be served")))


def _announce(models: Models, address: str) -> None:
    """Where we are and what to try, for a person at the terminal; logs go to stderr."""
    lines = [f"Slipway answers at {address} and explains itself at {address}/docs"]
    for task, (path, arguments) in CURLS.items():
        live = [model for model in models.live if model.manifest.task == task]
        lines += [f"  {model.name}/{model.version} ({model.variant})" for model in live]
        lines += [f"    curl {arguments} {address}{path}"] if live else []
    lines += [f"  broken: {found.name}/{found.version}: {found.reason}" for found in models.broken]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
