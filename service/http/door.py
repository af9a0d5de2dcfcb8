"""The doors of the native API: who is refused before a body is read, by a look at it."""

import re
from functools import partial

from model_zoo.manifest import Task
from service.errors import ServiceError
from service.http.exchange import Asked
from service.http.schemas import ON_LOOP_BYTES, text_alone
from service.http.turning_away import Refused
from service.repository.live import ServedModel
from service.repository.models import Models
from service.tasks.base import TranslationText

# What chooses between models in a body of JSON; the last one may be how any of them is written.
CHOICES = re.compile(rb'"(?:model|version|source|target)"|\\u')


class ModelDoor:
    """Refuses what the live model of this task would refuse; `timeout_s` is the longest deadline of
    a request."""

    def __init__(self, models: Models, task: Task, timeout_s: float) -> None:
        self._models = models
        self._task = task
        self._timeout_s = timeout_s
        self._reads_json = task != "image-classification"
        self._is_text = task == "text-classification"

    def __call__(self, asked: Asked, body: bytes | None) -> Refused | None:
        """None for who is to be read; see `Door`."""
        live = self._meant(body)
        if live is None or asked.query_string:  # the query may name something else
            return None
        spare_s = min(asked.timeout_s, self._timeout_s)
        weigh = partial(self._least_cost, live, body)
        error = live.batcher.refusal(asked.priority, spare_s, weigh)
        if error is None:
            return None
        return Refused(error, live.name, live.version, partial(self._again, live, error))

    def _again(self, live: ServedModel, error: ServiceError, body: bytes) -> bool:
        return self._meant(body) is live and live.batcher.refuses_again(error)

    def _meant(self, body: bytes | None) -> ServedModel | None:
        """Which model this body is for; None where it must be read to know."""
        live = self._models.only(self._task)
        if live is None and self._reads_json and not _may_choose(body):
            return self._models.default(self._task)
        return live

    def _least_cost(self, live: ServedModel, body: bytes | None) -> int:
        if not self._reads_json or body is None or len(body) > ON_LOOP_BYTES:
            return 1
        text = text_alone(body)
        if text is None:
            return 1
        return live.task.least_cost(text if self._is_text else TranslationText(text))


def _may_choose(body: bytes | None) -> bool:
    return body is None or CHOICES.search(body) is not None
