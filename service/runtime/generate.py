"""Translation's runner: drives a decoder a thread to completion, over shared sessions."""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from model_zoo.preprocessing import TranslationInput
from service.errors import InferenceFailed, InvalidInput
from service.runtime.collate import check_ids
from service.runtime.per_thread import PerThread
from service.runtime.session import Abort, Session
from service.runtime.shortlist import Shortlist, scored_and_own
from service.runtime.slot_decoder import DEFAULT_SLOTS, SlotDecoder, Source
from service.runtime.slots import Generated
from service.runtime.transformer import cache_dtype, decoder_signature, encoder_signature

# Fewer than so many newcomers are not worth an encoder run while the others wait.
JOIN_ROWS = 4


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
        scored, own = scored_and_own(decoder.inputs) if shortlist else (0, 0)
        encoder.expect(encoder_signature(spec, dtype))
        decoder.expect(decoder_signature(spec, dtype, scored, own))
        # it gives all that it holds: its session may go
        self._shortlist = Shortlist(shortlist, spec, scored, own) if shortlist else None
        self._scored = scored or spec.vocabulary
        self._encoder = encoder
        self._decoder = decoder
        self._spec = spec
        self._slots = slots
        self._decoders: PerThread[SlotDecoder] = PerThread()

    @property
    def placement(self) -> Mapping[str, int]:
        """Nodes of both graphs by the provider that runs them."""
        return Counter(self._encoder.placement) + Counter(self._decoder.placement)

    def open_decoder(self) -> SlotDecoder:
        """A decoder of its own for one thread, over the sessions that all share."""
        return SlotDecoder(
            self._encoder,
            self._decoder,
            self._spec,
            self._slots,
            shortlist=self._shortlist,
        )

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
        """Free the slots of this thread; those of others go with their threads."""
        self._decoders.forget()


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
