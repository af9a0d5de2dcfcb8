"""Parts that join and leave a running model: what `Engine` is for batches, for one thread."""

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from service.metrics import ModelMetrics, RunTrace
from service.repository.watching import watch_answer, watch_texts
from service.runtime.cohort_generator import CohortGenerator
from service.runtime.collate import GROUP_ROWS
from service.runtime.reading import TextReader
from service.runtime.runner import Runner, Translator
from service.tasks.registry import AnyTask
from service.tasks.translation import Translation


class Loop(Protocol):
    """What goes on step by step; see `SlotDecoder` and `Reading`."""

    @property
    def free(self) -> int: ...
    def admit(self, sources: Sequence[Any]) -> Sequence[int]: ...
    def step(self) -> Sequence[tuple[int, Any]]: ...
    def evict(self, ticket: int) -> None: ...
    def clear(self) -> None: ...


@dataclass(slots=True)
class Guest:
    """One part on its way through the loop."""

    ticket: int
    features: Any
    began_s: float
    run: RunTrace | None


class LoopStream(ABC):
    """Tokenize, go step by step, and read the answers; one thread only.

    A step that fails is not the end for all of its parts: each runs once more, alone, and only
    those that fail again get the error.
    """

    _at_once: float = math.inf  # how many may enter the loop together
    _pads = False  # whether those are padded to one length

    def __init__(self, task: AnyTask, runner: Runner, loop: Loop, metrics: ModelMetrics) -> None:
        self._task = task
        self._runner = runner
        self._loop = loop
        self._metrics = metrics
        self._tickets = count()
        self._waiting: deque[Guest] = deque()
        self._inside: dict[int, Guest] = {}

    @property
    def free(self) -> int:
        """Rows that nobody has or waits for: who needs several waits until enough are free."""
        promised = sum(self._width(guest.features) for guest in self._waiting)
        return max(0, self._loop.free - promised)

    def admit(self, parts: Sequence[Any]) -> list[int | Exception]:
        """Tokenize the parts; they enter the loop with the next step."""
        began_s = time.perf_counter()
        tickets = [self._admit_one(part) for part in parts]
        self._metrics.stage_took("tokenize", time.perf_counter() - began_s)
        return tickets

    def step(self) -> list[tuple[int, Any]]:
        """Take those inside one step on; gives the answers of those who are done."""
        try:
            done = self._go_on()
        except Exception as error:
            return self._retry_alone(error)
        return [self._leave(self._inside.pop(number), row) for number, row in done]

    def evict(self, ticket: int) -> None:
        """Forget a part wherever it is."""
        for guest in self._waiting:
            if guest.ticket == ticket:
                self._waiting.remove(guest)
                return
        for number, guest in self._inside.items():
            if guest.ticket == ticket:
                self._loop.evict(number)
                del self._inside[number]
                return

    def progress(self, ticket: int) -> Any | None:
        """What is known of an answer that is not complete: nothing, of most."""
        return None

    @abstractmethod
    def _go_on(self) -> Sequence[tuple[int, Any]]:
        """One step of the loop; numbers and rows of those who are done."""

    def _width(self, features: Any) -> int:
        """How many rows a part takes."""
        return 1

    def _admit_one(self, part: Any) -> int | Exception:
        try:
            features = self._task.preprocess(part)
            self._runner.check(features)
        except Exception as error:  # the batcher logs what is no ServiceError
            return error
        run = self._metrics.running()
        guest = Guest(next(self._tickets), features, time.perf_counter(), run)
        self._waiting.append(guest)
        return guest.ticket

    def _enter(self) -> bool:
        """Let in as many as have room and may come together; whether anybody came."""
        entering: list[Guest] = []
        free = self._loop.free
        while self._waiting and len(entering) < self._at_once:
            width = self._width(self._waiting[0].features)
            if width > free:
                break
            free -= width
            entering.append(self._waiting.popleft())
        if not entering:
            return False
        try:
            numbers = self._loop.admit([guest.features for guest in entering])
        except Exception:
            self._waiting.extendleft(reversed(entering))
            raise
        watch_texts(self._metrics, [guest.features for guest in entering], padded=self._pads)
        self._inside.update(zip(numbers, entering, strict=True))
        return True

    def _leave(self, guest: Guest, row: Any) -> tuple[int, Any]:
        self._metrics.stage_took("inference", time.perf_counter() - guest.began_s, guest.run)
        try:
            answer = self._task.postprocess(guest.features, row)
        except Exception as error:  # the batcher logs what is no ServiceError
            return guest.ticket, error
        watch_answer(self._metrics, answer)
        return guest.ticket, answer

    def _retry_alone(self, error: Exception) -> list[tuple[int, Any]]:
        guests = [*self._inside.values(), *self._waiting]
        self._inside.clear()
        self._waiting.clear()
        self._loop.clear()
        if len(guests) == 1:
            return [(guests[0].ticket, error)]
        return [self._alone(guest) for guest in guests]

    def _alone(self, guest: Guest) -> tuple[int, Any]:
        try:
            self._loop.admit([guest.features])
            done: Sequence[tuple[int, Any]] = []
            while not done:
                done = self._loop.step()
        except Exception as error:
            self._loop.clear()
            return guest.ticket, error
        return self._leave(guest, done[0][1])


class DecodeStream(LoopStream):
    """Sentences that are translated token by token."""

    def __init__(self, task: Translation, runner: Translator, metrics: ModelMetrics) -> None:
        decoder = runner.open_decoder()
        super().__init__(task, runner, decoder, metrics)
        self._translation = task
        self._decoder = decoder
        self._pads = isinstance(runner, CohortGenerator)
        # who comes later than the others cannot join their cohort any more
        self._at_once = math.inf if self._pads else GROUP_ROWS
        self._just_entered = False

    def progress(self, ticket: int) -> str | None:
        """The text that a part has so far; None while there is none that would stay."""
        for number, guest in self._inside.items():
            if guest.ticket == ticket:
                ids = self._decoder.written(number)
                return self._translation.partial(guest.features, ids) if ids else None
        return None

    def _width(self, features: Any) -> int:
        return int(features.beam)

    def _go_on(self) -> Sequence[tuple[int, Any]]:
        """Let some of those who wait in, or take those inside one token on. Never both: other
        models on the core wait for the end of it."""
        self._just_entered = not self._just_entered and self._enter()
        return self._decoder.step() if self._inside and not self._just_entered else []

    def _leave(self, guest: Guest, row: Any) -> tuple[int, Any]:
        self._metrics.tokens_generated(len(row[0]))
        return super()._leave(guest, row)


class ReadStream(LoopStream):
    """Texts that are read piece by piece."""

    def __init__(self, task: AnyTask, runner: TextReader, metrics: ModelMetrics) -> None:
        self._reading = runner.open_reading()
        super().__init__(task, runner, self._reading, metrics)

    def _go_on(self) -> Sequence[tuple[int, Any]]:
        self._enter()  # which is no work
        done = self._reading.step()
        self._metrics.tokens_ran(real=0, padding=self._reading.in_vain)
        return done
