"""Translation's runner for a folder that Hugging Face Optimum exported: greedy, in cohorts."""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from model_zoo.preprocessing import TranslationInput
from service.errors import InferenceFailed, InvalidInput
from service.runtime.cohort_decoder import CohortDecoder
from service.runtime.collate import check_ids
from service.runtime.optimum import OptimumGraphs
from service.runtime.per_thread import PerThread
from service.runtime.session import Abort
from service.runtime.slot_decoder import DEFAULT_SLOTS, Source
from service.runtime.slots import Generated


class CohortGenerator:
    """Source ids in, target ids and score out. Thread-safe."""

    def __init__(
        self, graphs: OptimumGraphs, spec: TranslationInput, slots: int = DEFAULT_SLOTS
    ) -> None:
        self._graphs = graphs
        self._spec = spec
        self._slots = slots
        self._decoders: PerThread[CohortDecoder] = PerThread()

    @property
    def placement(self) -> Mapping[str, int]:
        """Nodes of all graphs by the provider that runs them."""
        nodes: Counter[str] = Counter()
        for session in self._graphs.sessions:
            nodes.update(session.placement)
        return nodes

    def open_decoder(self) -> CohortDecoder:
        """A decoder of its own for one thread, over the sessions that all share."""
        return CohortDecoder(self._graphs, self._spec, self._slots)

    def check(self, features: Source) -> None:
        """Raise InvalidInput for an item that would spoil a batch, or wants a beam."""
        check_ids(features.ids, self._spec.max_source_tokens, self._spec.vocabulary)
        if features.beam != 1:
            raise InvalidInput(
                f"This model translates greedily; send beam 1 or none, not {features.beam}."
            )

    def run(self, features: Sequence[Source], abort: Abort | None = None) -> list[Generated]:
        """An answer for every source, in order; as rows end, waiting sources form new cohorts."""
        for source in features:
            self.check(source)
        decoder = self._decoders.get(self.open_decoder)
        try:
            answers = _drive(decoder, features, abort)
        except BaseException:
            decoder.clear()
            raise
        if not all(math.isfinite(answer.score) for answer in answers):
            raise InferenceFailed("the model gave a score that is not finite")
        return answers

    def close(self) -> None:
        """Free the memory of this thread; that of others goes with their threads."""
        self._decoders.forget()


def _drive(
    decoder: CohortDecoder, sources: Sequence[Source], abort: Abort | None
) -> list[Generated]:
    waiting = deque(range(len(sources)))
    places: dict[int, int] = {}
    answers: dict[int, Generated] = {}
    while waiting or decoder.active:
        if waiting and decoder.free:
            joining = [waiting.popleft() for _ in range(min(decoder.free, len(waiting)))]
            tickets = decoder.admit([sources[place] for place in joining], abort)
            places.update(zip(tickets, joining, strict=True))
        for ticket, answer in decoder.step(abort):
            answers[places.pop(ticket)] = answer
    return [answers[place] for place in range(len(sources))]
