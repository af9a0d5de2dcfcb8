"""Translation's runner: drives a decoder a thread to completion, over shared sessions."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_zoo.preprocessing import TranslationInput
from service.errors import InferenceFailed, InvalidInput
from service.runtime.collate import check_ids
from service.runtime.session import Abort, Session, Tensor
from service.runtime.shortlist import WHOLE_FROM, Shortlist, candidate_count
from service.runtime.slot_decoder import DEFAULT_SLOTS, SlotDecoder, Source
from service.runtime.slots import Generated
from service.runtime.transformer import cache_dtype, decoder_signature, encoder_signature

PROBE_TOKENS = 8
PROBES = 7
# The whole vocabulary is warm in the cache when it is measured, and less so later.
WORTH_IT = 0.9

# Fewer than so many newcomers are not worth an encoder run while the others wait.
JOIN_ROWS = 4


@dataclass(frozen=True, slots=True)
class _Probe:
    """A sentence that nobody sent."""

    ids: Tensor
    beam: int = 1


def shortest_s(run: Callable[[], None]) -> float:
    """Seconds of the fastest of some runs: others may have been disturbed."""
    took_s = []
    for _ in range(PROBES):
        began_s = time.perf_counter()
        run()
        took_s.append(time.perf_counter() - began_s)
    return min(took_s)


class Generator:
    """Translation's runner: source ids in, target ids and score out. Thread-safe."""

    def __init__(
        self,
        encoder: Session,
        decoder: Session,
        spec: TranslationInput,
        slots: int = DEFAULT_SLOTS,
        shortlist: Session | None = None,
    ) -> None:
        dtype = cache_dtype(decoder.inputs)
        count = candidate_count(decoder.inputs) if shortlist else 0
        either_way = any(tensor.name == WHOLE_FROM.name for tensor in decoder.inputs)
        encoder.expect(encoder_signature(spec, dtype))
        decoder.expect(decoder_signature(spec, dtype, count, either_way=either_way))
        self._shortlist = Shortlist(shortlist, spec, count) if shortlist else None
        self._scored = count or spec.vocabulary
        self._sessions = [one for one in (encoder, decoder, shortlist) if one is not None]
        self._encoder = encoder
        self._decoder = decoder
        self._spec = spec
        self._slots = slots
        self._threads = threading.local()
        self._whole_from: Tensor | None = None
        if either_way:
            self._whole_from = np.ones(1, np.int64)
            self._whole_from[0] = self._rows_for_whole()

    @property
    def whole_from(self) -> int | None:
        """From how many rows on a step multiplies with the whole vocabulary; None: not told."""
        return None if self._whole_from is None else int(self._whole_from[0])

    @property
    def placement(self) -> Mapping[str, int]:
        """Nodes of all graphs by the provider that runs them."""
        return sum((Counter(session.placement) for session in self._sessions), Counter())

    def open_decoder(self) -> SlotDecoder:
        """A decoder of its own for one thread, over the sessions that all share."""
        return SlotDecoder(
            self._encoder,
            self._decoder,
            self._spec,
            self._slots,
            shortlist=self._shortlist,
            whole_from=self._whole_from,
        )

    def _rows_for_whole(self) -> int:
        """From how many rows on this processor is faster with the whole vocabulary."""
        assert self._whole_from is not None
        decoder, rows = self.open_decoder(), 1
        probe = _Probe(np.full(PROBE_TOKENS, self._spec.eos_id, np.int64))
        while rows < self._slots:
            rows = min(2 * rows, self._slots)
            decoder.admit([probe] * (rows - decoder.active))
            self._whole_from[0] = rows
            together_s = shortest_s(decoder.rehearse)
            self._whole_from[0] = rows + 1
            if together_s < WORTH_IT * shortest_s(decoder.rehearse):
                return rows
        return self._slots + 1

    def check(self, features: Source) -> None:
        """Raise InvalidInput for an item that would spoil a batch."""
        check_ids(features.ids, self._spec.max_source_tokens, self._spec.vocabulary)
        widest = min(self._slots, self._scored // 2)
        if not 1 <= features.beam <= widest:
            raise InvalidInput(f"beam must be 1 to {widest}, not {features.beam}")

    def run(self, features: Sequence[Source], abort: Abort | None = None) -> list[Generated]:
        """An answer for every source, in order; as rows end, waiting sources take their slots."""
        for source in features:
            self.check(source)
        decoder = self._decoder_of_this_thread()
        try:
            answers = _drive(decoder, features, abort)
        except BaseException:
            decoder.clear()
            raise
        if not all(math.isfinite(answer.score) for answer in answers):
            raise InferenceFailed("the model gave a score that is not finite")
        return answers

    def close(self) -> None:
        """Free the slots of this thread; those of others go with their threads."""
        self._threads = threading.local()

    def _decoder_of_this_thread(self) -> SlotDecoder:
        decoder: SlotDecoder | None = getattr(self._threads, "decoder", None)
        if decoder is None:
            decoder = self._threads.decoder = self.open_decoder()
        return decoder


def _drive(decoder: SlotDecoder, sources: Sequence[Source], abort: Abort | None) -> list[Generated]:
    waiting = deque(range(len(sources)))
    numbers: dict[int, int] = {}
    answers: dict[int, Generated] = {}
    while waiting or decoder.active:
        if waiting and (decoder.free >= JOIN_ROWS or not decoder.active):
            joining = _take(waiting, sources, decoder.free)
            if joining:
                tickets = decoder.admit([sources[n] for n in joining], abort)
                numbers.update(zip(tickets, joining, strict=True))
        for ticket, answer in decoder.step(abort):
            answers[numbers.pop(ticket)] = answer
    return [answers[n] for n in range(len(sources))]


def _take(waiting: deque[int], sources: Sequence[Source], free: int) -> list[int]:
    taken = []
    while waiting and sources[waiting[0]].beam <= free:
        free -= sources[waiting[0]].beam
        taken.append(waiting.popleft())
    return taken
