"""Parts that join and leave a running decoder: what `Engine` is for batches, for one thread."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from service.errors import InferenceFailed
from service.metrics import ModelMetrics, RunTrace
from service.repository.watching import watch_answer, watch_texts
from service.runtime.cohort_generator import CohortGenerator
from service.runtime.collate import GROUP_ROWS
from service.runtime.runner import Translator
from service.tasks.translation import Translation


@dataclass(slots=True)
class _Guest:
    """One part on its way through the decoder."""

    ticket: int
    features: Any
    began_s: float
    run: RunTrace | None


class DecodeStream:
    """Tokenize, decode step by step, and read the answers; one thread only.

    A step that fails is not the end for all of its rows: each is decoded once more, alone, and
    only those that fail again get the error.
    """

    def __init__(self, task: Translation, runner: Translator, metrics: ModelMetrics) -> None:
        self._task = task
        self._runner = runner
        self._decoder = runner.open_decoder()
        self._pads = isinstance(runner, CohortGenerator)
        # who comes later than the others cannot join their cohort any more
        self._at_once = math.inf if self._pads else GROUP_ROWS
        self._metrics = metrics
        self._tickets = count()
        self._waiting: deque[_Guest] = deque()
        self._inside: dict[int, _Guest] = {}
        self._just_entered = False

    @property
    def free(self) -> int:
        """Rows that nobody has or waits for: a wide beam waits until enough are free."""
        promised = sum(int(guest.features.beam) for guest in self._waiting)
        return max(0, self._decoder.free - promised)

    def admit(self, parts: Sequence[Any]) -> list[int | Exception]:
        """Tokenize the parts; they enter the decoder with the next step."""
        began_s = time.perf_counter()
        tickets = [self._admit_one(part) for part in parts]
        self._metrics.stage_took("tokenize", time.perf_counter() - began_s)
        return tickets

    def step(self) -> list[tuple[int, Any]]:
        """Let some of those who wait in, or take those inside one token on; gives the answers of
        those who are done. Never both: other models on the core wait for the end of it.
        """
        try:
            self._just_entered = not self._just_entered and self._enter()
            done = self._decoder.step() if self._inside and not self._just_entered else []
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
                self._decoder.evict(number)
                del self._inside[number]
                return

    def progress(self, ticket: int) -> str | None:
        """The text that a part has so far; None while there is none that would stay."""
        for number, guest in self._inside.items():
            if guest.ticket == ticket:
                ids = self._decoder.written(number)
                return self._task.partial(guest.features, ids) if ids else None
        return None

    def _admit_one(self, part: Any) -> int | Exception:
        try:
            features = self._task.preprocess(part)
            self._runner.check(features)
        except Exception as error:  # the batcher logs what is no ServiceError
            return error
        run = self._metrics.running()
        guest = _Guest(next(self._tickets), features, time.perf_counter(), run)
        self._waiting.append(guest)
        return guest.ticket

    def _enter(self) -> bool:
        """Let in as many as are encoded at once; whether anybody came."""
        entering: list[_Guest] = []
        free = self._decoder.free
        while self._waiting and len(entering) < self._at_once:
            if self._waiting[0].features.beam > free:
                break
            free -= self._waiting[0].features.beam
            entering.append(self._waiting.popleft())
        if not entering:
            return False
        try:
            numbers = self._decoder.admit([guest.features for guest in entering])
        except Exception:
            self._waiting.extendleft(reversed(entering))
            raise
        watch_texts(self._metrics, [guest.features for guest in entering], padded=self._pads)
        self._inside.update(zip(numbers, entering, strict=True))
        return True

    def _leave(self, guest: _Guest, row: Any) -> tuple[int, Any]:
        ids, score, _ = row
        self._metrics.stage_took("inference", time.perf_counter() - guest.began_s, guest.run)
        self._metrics.tokens_generated(len(ids))
        if not math.isfinite(score):
            return guest.ticket, InferenceFailed("The model gave a score that is no number.")
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
        self._decoder.clear()
        if len(guests) == 1:
            return [(guests[0].ticket, error)]
        return [self._alone(guest) for guest in guests]

    def _alone(self, guest: _Guest) -> tuple[int, Any]:
        try:
            self._decoder.admit([guest.features])
            done: Sequence[tuple[int, Any]] = []
            while not done:
                done = self._decoder.step()
        except Exception as error:
            self._decoder.clear()
            return guest.ticket, error
        return self._leave(guest, done[0][1])
