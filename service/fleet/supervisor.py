"""Starts the workers, replaces those that die, and passes on the signal to leave.

The process has one thread and has loaded no model, so that it can fork at any time.
"""

import faulthandler
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from service.fleet.seat import Seat
from service.fleet.watchdog import Watchdog

log = logging.getLogger("slipway.fleet")

OK, FAILED = 0, 1
LEAVING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
DOUBLINGS = 6  # of the shortest pause, which pass the longest; a thousand would overflow a float
SOUND_S = 5.0  # who served for this long is not replaced in vain


class WorkersFailed(Exception):
    """The workers cannot serve; the message says why."""


@dataclass(slots=True)
class _Worker:
    """What the supervisor knows of one seat."""

    number: int
    pid: int = 0
    report: int = -1
    heard: bytes = b""
    ready_s: float | None = None
    deaths: int = 0  # in a row, all but the first soon after the start
    start_again_s: float | None = None
    told_to_end: bool = False  # as it stands still
    words: list[str] = field(default_factory=list)


class Supervisor:
    """Runs `work(seat)` in `count` processes; its result is the exit code of the process."""

    def __init__(
        self,
        work: Callable[[Seat], int],
        *,
        count: int,
        folder: Path,
        announce: Callable[[str], None],
        watchdog_s: float = 0.0,
    ) -> None:
        self._work = work
        self._folder = folder
        self._announce = announce
        self._workers = [_Worker(number) for number in range(count)]
        self._watchdog = Watchdog(folder, count, watchdog_s)
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._leaving = False
        self._announced = False
        self._worst = OK
        self._life_read, self._life_write = os.pipe()
        self._wake_read, self._wake_write = socket.socketpair()

    def run(self) -> int:
        """Until a signal; 0 if all workers left in good order. Raises WorkersFailed."""
        self._catch_signals()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        try:
            for worker in self._workers:
                self._start(worker)
            while any(worker.pid or self._may_start(worker) for worker in self._workers):
                self._turn()
        finally:
            self._kill(signal.SIGKILL)
            self._reap(block=True)
        self._raise_first_failure()
        return self._worst

    def _turn(self) -> None:
        """Wait for news, and act on it."""
        for key, _ in self._selector.select(self._pause_s()):
            if key.data is None:
                self._wake_read.recv(4096)
            else:
                self._hear(key.data)
        self._obey_signals()
        self._reap()
        for number, silent_s in self._watchdog.look():
            self._end_stuck(self._workers[number], silent_s)
        now_s = time.monotonic()
        for worker in self._workers:
            if self._may_start(worker) and now_s >= (worker.start_again_s or 0.0):
                self._start(worker)

    def _pause_s(self) -> float | None:
        now_s, until_look_s = time.monotonic(), self._watchdog.pause_s()
        pauses_s = [] if until_look_s is None else [until_look_s]
        if not self._leaving:
            due_s = (worker.start_again_s for worker in self._workers)
            pauses_s += [due - now_s for due in due_s if due is not None]
        return max(0.0, min(pauses_s)) if pauses_s else None

    # Processes

    def _may_start(self, worker: _Worker) -> bool:
        return worker.start_again_s is not None and not self._leaving

    def _start(self, worker: _Worker) -> None:
        """Start one in this seat. Where the system has no room, raises WorkersFailed at first, and
        tries again later once all were ready."""
        replacement = worker.start_again_s is not None
        worker.start_again_s = None
        worker.ready_s, worker.heard, worker.told_to_end = None, b"", False
        self._watchdog.forget(worker.number)
        try:
            self._give_birth(worker, replacement)
        except OSError as error:
            if not self._announced:
                raise WorkersFailed(
                    f"cannot start worker {worker.number}: {error.strerror or error}; "
                    "start fewer with --workers"
                ) from error
            pause_s = self._start_later(worker, worker.deaths + 1)
            log.error(
                "a worker cannot start",
                extra={"worker": worker.number, "reason": str(error), "pause_s": pause_s},
            )

    def _give_birth(self, worker: _Worker, replacement: bool) -> None:
        worker.report, report_write = os.pipe()
        seat = Seat(
            number=worker.number,
            count=len(self._workers),
            folder=self._folder,
            report=report_write,
            lifeline=self._life_read,
            replacement=replacement,
        )
        # A signal that the child took by our handlers would be lost.
        listened = signal.pthread_sigmask(signal.SIG_BLOCK, LEAVING_SIGNALS)
        try:
            self._selector.register(worker.report, selectors.EVENT_READ, worker)
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                self._be_worker(seat, listened)
            worker.pid = pid
        except OSError:
            self._hang_up(worker)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, listened)
            os.close(report_write)

    def _be_worker(self, seat: Seat, listened: Iterable[int]) -> None:
        """The rest of the life of a new process."""
        code = FAILED
        try:
            signal.set_wakeup_fd(-1)
            faulthandler.enable()  # tells where it stood when it is aborted, or crashes
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # Ctrl+C reaches all processes of a terminal; the supervisor passes it on.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, listened)
            for fd in (self._life_write, *(w.report for w in self._workers if w.report >= 0)):
                os.close(fd)
            self._selector.close()
            self._wake_read.close()
            self._wake_write.close()
            code = self._work(seat)
        except BaseException as error:
            log.critical("a worker broke", exc_info=error)
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, worker: _Worker) -> None:
        heard = os.read(worker.report, 65536)
        if not heard:
            self._hang_up(worker)
            return
        worker.heard += heard
        *complete, worker.heard = worker.heard.split(b"\0")
        for message in complete:
            word, _, text = message.decode().partition("\n")
            if word == "failed":
                self._note_failure(worker, text)
            elif word == "ready":
                worker.ready_s = time.monotonic()
                self._tell_once(text)

    def _hang_up(self, worker: _Worker) -> None:
        with suppress(KeyError):  # if it could not be registered
            self._selector.unregister(worker.report)
        os.close(worker.report)
        worker.report = -1

    def _note_failure(self, worker: _Worker, reason: str) -> None:
        if self._announced:  # the others serve on, and nobody else would tell
            log.error("a worker cannot start", extra={"worker": worker.number, "reason": reason})
        else:
            worker.words.append(reason)

    def _tell_once(self, text: str) -> None:
        if not self._announced and all(w.ready_s is not None for w in self._workers):
            self._announced = True
            self._announce(text)

    def _reap(self, block: bool = False) -> None:
        for worker in self._workers:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, 0 if block else os.WNOHANG)
                if pid:
                    self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, code: int) -> None:
        pid, worker.pid = worker.pid, 0
        while worker.report >= 0:
            self._hear(worker)  # its last words
        if self._leaving:
            expected = (OK, -signal.SIGTERM)  # the latter before it could listen to signals
            self._worst = self._worst or (OK if code in expected else FAILED)
            return
        if not self._announced:  # what keeps one from starting keeps all from it
            self._worst = FAILED
            self._leave()
            return
        now_s = time.monotonic()
        was_sound = worker.ready_s is not None and now_s - worker.ready_s >= SOUND_S
        pause_s = self._start_later(worker, 1 if was_sound else worker.deaths + 1)
        log.error(
            "a worker died; a new one starts",
            extra={"worker": worker.number, "pid": pid, "exit_code": code, "pause_s": pause_s},
        )

    def _end_stuck(self, worker: _Worker, silent_s: float) -> None:
        """Abort it, so that it tells where it stood; kill it where even that does nothing."""
        if not worker.pid:
            return
        if worker.told_to_end:
            os.kill(worker.pid, signal.SIGKILL)
            return
        worker.told_to_end = True
        log.error(
            "a worker stands still and is ended",
            extra={"worker": worker.number, "pid": worker.pid, "silent_s": round(silent_s, 1)},
        )
        os.kill(worker.pid, signal.SIGABRT)

    def _start_later(self, worker: _Worker, deaths: int) -> float:
        """Start one in this seat after a pause; how many seconds that is."""
        worker.deaths = deaths
        pause_s = pause_after(deaths)
        worker.start_again_s = time.monotonic() + pause_s
        return pause_s

    def _raise_first_failure(self) -> None:
        reasons = [word for worker in self._workers for word in worker.words]
        if reasons and not self._announced:
            raise WorkersFailed(reasons[0])

    # Signals

    def _catch_signals(self) -> None:
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in LEAVING_SIGNALS:
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _obey_signals(self) -> None:
        while self._signals:
            self._signals.pop()
            if self._leaving:
                log.warning("second signal: leaving at once")
                self._worst = FAILED
                self._kill(signal.SIGKILL)
            else:
                self._leave()

    def _leave(self) -> None:
        self._leaving = True
        self._kill(signal.SIGTERM)

    def _kill(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


def pause_after(deaths: int) -> float:
    """Seconds before the next start in a seat, after so many deaths in a row."""
    if deaths <= 1:
        return 0.0
    return min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2.0 ** min(deaths - 2, DOUBLINGS))
