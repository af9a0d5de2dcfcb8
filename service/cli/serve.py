"""`slipway serve`. What loads models is imported in the processes that do."""

import argparse

from service.cgroup import available_memory
from service.cli.errors import CommandFailed
from service.cli.gpus import usable_gpus, use_gpu
from service.cli.version import slipway_version
from service.fleet.launch import run_fleet
from service.fleet.seat import Seat
from service.fleet.supervisor import WorkersFailed
from service.logs import configure_logging
from service.runtime.threads import available_cpus
from service.settings import SETTINGS, Settings

WORKER_BYTES = 1 << 30  # the published models take a third of it, one of the largest images half


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    given = {setting.name: getattr(options, setting.name) for setting in SETTINGS}
    settings = Settings.load(given)
    if settings.front_ends:
        return _before_one_engine(settings)
    count = settings.workers or usual_workers(
        available_cpus(), available_memory(), gpus=len(usable_gpus(settings.providers))
    )
    return _alone(settings) if count == 1 else _together(settings, count, f"{count} workers")


def usual_workers(cpus: int, memory_bytes: int, *, gpus: int = 0) -> int:
    """One process a GPU, which is one process's own; without one a process a CPU, where memory
    allows: threads under one interpreter lock wait for each other, but each process holds the
    models once more."""
    return gpus or max(1, min(cpus, memory_bytes // WORKER_BYTES))


def _alone(settings: Settings) -> int:
    from service.app import StartFailed, serve

    try:
        return serve(settings, slipway_version())
    except StartFailed as error:
        raise CommandFailed(str(error)) from error


def _before_one_engine(settings: Settings) -> int:
    count = settings.front_ends
    if settings.workers > 1:
        raise CommandFailed(
            f"--front-ends {count} stand before one engine: leave --workers {settings.workers} out"
        )
    return _together(settings, count + 1, f"1 engine, {count} front end{'s' * (count > 1)}")


def _together(settings: Settings, count: int, shape: str) -> int:
    configure_logging(settings.log_level, settings.log_format)
    try:
        return run_fleet(
            settings.host,
            settings.port,
            count,
            shape,
            lambda port, seat: _as_worker(settings, port, seat),
            settings.watchdog_s,
        )
    except WorkersFailed as error:
        raise CommandFailed(str(error)) from error


def _as_worker(settings: Settings, port: int, seat: Seat) -> int:
    from service.app import ENGINE_SEAT, serve_seat

    if not settings.front_ends:
        use_gpu(usable_gpus(settings.providers), seat.number)
    threads = settings.threads or usual_threads(
        available_cpus(), seat.count, settings.front_ends, is_engine=seat.number == ENGINE_SEAT
    )
    mine = settings.model_copy(update={"port": port, "threads": threads})
    return serve_seat(mine, slipway_version(), seat)


def usual_threads(cpus: int, processes: int, front_ends: int, *, is_engine: bool) -> int:
    """A process's share of the CPUs; before an engine a front end has one, and it has the rest."""
    if not front_ends:
        return max(1, cpus // processes)
    return max(1, cpus - front_ends) if is_engine else 1
