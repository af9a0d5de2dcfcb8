"""The graphs that Hugging Face Optimum exports of a translation model, and how to call them.

The encoder takes padded sentences. The decoder knows neither the positions of its rows nor which
part of their past is real, so all rows of a run are at the same step. Its first step gives the
source's keys and values, which the later steps take. One merged graph may do both.
B rows, S source and T target positions, H heads, D head size, E width, V vocabulary.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from model_zoo.manifest import Role
from model_zoo.preprocessing import TranslationInput
from service.runtime.errors import GraphMismatch
from service.runtime.session import Abort, Session, Tensor
from service.runtime.signature import Signature, TensorType

IDS, MASK, STATES = "input_ids", "encoder_attention_mask", "encoder_hidden_states"
STATE = "last_hidden_state"
WITH_PAST = "use_cache_branch"  # tells the merged graph which of its two halves to run
_OPTIONAL = {MASK, STATES}  # a step that has no use for these is exported without them
_PAST = re.compile(r"past_key_values\.(\d+)\.decoder\.key")
_FLOATS = ("float32", "float16")

Caches = dict[str, Tensor]


class DecoderShape(NamedTuple):
    """What a decoder's tensors tell of the network."""

    layers: int
    heads: int
    head_size: int
    vocabulary: int


class Memory(NamedTuple):
    """What the decoder looks at: the encoder's states [B, S, E], and which of them are real."""

    states: Tensor
    mask: Tensor

    def kept(self, rows: list[int], length: int) -> "Memory":
        """These rows alone, and only their first `length` positions."""
        states, mask = (np.ascontiguousarray(part[rows, :length]) for part in self)
        return Memory(states, mask)


class OptimumGraphs:
    """The encoder, the decoder's first step and its later ones. Thread-safe."""

    def __init__(self, sessions: Mapping[Role, Session], spec: TranslationInput) -> None:
        """Raises GraphMismatch, naming each tensor, for graphs that are not as Optimum's."""
        self._encoder = sessions["encoder"]
        self._first = sessions["decoder"]
        self._later = later_steps(sessions)
        self._spec = spec
        for signature, session in self._promises():
            session.expect(signature)
        self._first_outputs = ["logits", *_named("present", spec, "decoder", "encoder")]
        self._later_outputs = ["logits", *_named("present", spec, "decoder")]

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Each session once."""
        return tuple(dict.fromkeys((self._encoder, self._first, self._later)))

    def encode(self, ids_BS: Tensor, mask_BS: Tensor, abort: Abort | None = None) -> Tensor:
        """The encoder's states [B, S, E]."""
        feeds = {IDS: ids_BS, "attention_mask": mask_BS}
        return self._encoder.run(feeds, [STATE], abort)[STATE]

    def begin(
        self, newest_B: Tensor, memory: Memory, abort: Abort | None = None
    ) -> tuple[Tensor, Caches]:
        """The first step: logits [B, V], and the caches for the next one."""
        feeds = self._feeds(newest_B, memory)
        if self._first is self._later:
            nothing = (len(newest_B), self._spec.heads, 0, self._spec.head_size)
            names = _named("past_key_values", self._spec, "decoder", "encoder")
            feeds |= dict.fromkeys(names, np.zeros(nothing, np.float32))
            feeds[WITH_PAST] = np.zeros(1, np.bool_)
        return self._run(self._first, feeds, self._first_outputs, abort)

    def go_on(
        self, newest_B: Tensor, memory: Memory, caches: Caches, abort: Abort | None = None
    ) -> tuple[Tensor, Caches]:
        """A later step: logits [B, V], and the caches for the next one."""
        feeds = self._feeds(newest_B, memory) | caches
        feeds[WITH_PAST] = np.ones(1, np.bool_)
        logits_BV, found = self._run(self._later, feeds, self._later_outputs, abort)
        # the source's keys and values stay; a merged graph gives empty ones in their place
        return logits_BV, caches | found

    def _promises(self) -> Iterator[tuple[Signature, Session]]:
        width = {tensor.name: tensor.shape[-1] for tensor in self._encoder.outputs}.get(STATE, "E")
        yield _encoder_signature(self._encoder, width), self._encoder
        is_merged = self._first is self._later
        if not is_merged:
            yield _decoder_signature("decoder", self._first, self._spec, width), self._first
        name = "decoder" if is_merged else "decoder_with_past"
        yield _decoder_signature(name, self._later, self._spec, width), self._later

    def _feeds(self, newest_B: Tensor, memory: Memory) -> dict[str, Tensor]:
        return {IDS: newest_B[:, None], MASK: memory.mask, STATES: memory.states}

    def _run(
        self, session: Session, feeds: dict[str, Tensor], outputs: list[str], abort: Abort | None
    ) -> tuple[Tensor, Caches]:
        taken = {
            tensor.name: feeds[tensor.name].astype(tensor.dtype, copy=False)
            for tensor in session.inputs
        }
        found = session.run(taken, outputs, abort)
        logits_BV = found.pop("logits")[:, -1].astype(np.float32, copy=False)
        caches = {name.replace("present", "past_key_values"): new for name, new in found.items()}
        return logits_BV, caches


def keep_rows(caches: Caches, rows: list[int], length: int) -> Caches:
    """These rows of the caches alone, and only the first `length` positions of the source."""
    return {
        name: np.ascontiguousarray(cache[rows, :, :length] if ".encoder." in name else cache[rows])
        for name, cache in caches.items()
    }


def later_steps(sessions: Mapping[Role, Session]) -> Session:
    """The graph of every step but the first. Raises GraphMismatch if there is none."""
    if "decoder_with_past" in sessions:
        return sessions["decoder_with_past"]
    decoder = sessions["decoder"]
    if WITH_PAST not in {tensor.name for tensor in decoder.inputs}:
        raise GraphMismatch(
            f"decoder graph: it takes no {WITH_PAST!r}, so it cannot go on from what it wrote; "
            "export with --task text2text-generation-with-past"
        )
    return decoder


def decoder_shape(sessions: Mapping[Role, Session]) -> DecoderShape:
    """The numbers that a manifest needs, read off the decoder. Raises GraphMismatch without."""
    decoder = later_steps(sessions)
    inputs = {tensor.name: tensor.shape for tensor in decoder.inputs}
    outputs = {tensor.name: tensor.shape for tensor in decoder.outputs}
    layers = sum(_PAST.fullmatch(name) is not None for name in inputs)
    cache, logits = inputs.get("past_key_values.0.decoder.key", ()), outputs.get("logits", ())
    sizes = [cache[1], cache[3], logits[-1]] if len(cache) == 4 and logits else []
    known = [size for size in sizes if isinstance(size, int)]
    if not layers or len(known) != 3:
        raise GraphMismatch(
            "decoder graph: past_key_values.0.decoder.key and logits must have fixed numbers of "
            f"heads, head size and vocabulary; they are {list(cache)} and {list(logits)}"
        )
    return DecoderShape(layers, *known)


def _encoder_signature(encoder: Session, width: int | str) -> Signature:
    text = ("B", "S")
    return Signature(
        "encoder",
        (TensorType(IDS, "int64", text), TensorType("attention_mask", "int64", text)),
        (_as_float(encoder.outputs, STATE, ("B", "S", width)),),
    )


def _decoder_signature(
    graph: str, session: Session, spec: TranslationInput, width: int | str
) -> Signature:
    """What a graph that runs the first step, the later ones or both takes and gives."""
    names = {tensor.name for tensor in session.inputs}
    is_merged, is_later = WITH_PAST in names, graph == "decoder_with_past"
    own, source = (("B", spec.heads, positions, spec.head_size) for positions in ("T", "S"))
    inputs = [
        TensorType(IDS, "int64", ("B", 1)),
        TensorType(MASK, "int64", ("B", "S")),
        _as_float(session.inputs, STATES, ("B", "S", width)),
    ]
    inputs = [tensor for tensor in inputs if tensor.name in names or tensor.name not in _OPTIONAL]
    if is_merged:
        inputs.append(TensorType(WITH_PAST, "bool", (1,)))
    if is_merged or is_later:
        past = [(name, own) for name in _named("past_key_values", spec, "decoder")]
        past += [(name, source) for name in _named("past_key_values", spec, "encoder")]
        inputs += [_as_float(session.inputs, name, shape) for name, shape in past]
    found = [(name, own) for name in _named("present", spec, "decoder")]
    if not is_later:
        found += [(name, source) for name in _named("present", spec, "encoder")]
    outputs = [("logits", ("B", 1, spec.vocabulary)), *found]
    return Signature(
        graph,
        tuple(inputs),
        tuple(_as_float(session.outputs, name, shape) for name, shape in outputs),
    )


def _as_float(
    tensors: tuple[TensorType, ...], name: str, shape: tuple[int | str, ...]
) -> TensorType:
    """A tensor of real numbers, in whichever precision the graph has it."""
    own = {tensor.name: tensor.dtype for tensor in tensors}.get(name)
    return TensorType(name, own if own in _FLOATS else _FLOATS[0], shape)


def _named(kind: str, spec: TranslationInput, *sides: str) -> list[str]:
    return [
        f"{kind}.{layer}.{side}.{part}"
        for layer in range(spec.layers)
        for side in sides
        for part in ("key", "value")
    ]
