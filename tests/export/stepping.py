"""Runs the two translation graphs with the target given: rows may join at different steps."""

from collections.abc import Sequence

import numpy as np
import onnx

from export.convert.transformer_graphs import TransformerGraphs
from model_zoo.manifest import Role
from service.runtime.collate import pack_ids
from service.runtime.session import open_session
from service.runtime.slots import Slots
from service.runtime.transformer import ENCODER_INPUTS, cross_outputs
from tests.export.tiny_networks import EOS, SPEC, Floats, Ids


def serialized(graphs: TransformerGraphs) -> dict[Role, bytes]:
    return {
        "encoder": graphs.encoder.SerializeToString(),
        "decoder": graphs.decoder.SerializeToString(),
    }


def encode(encoder: onnx.ModelProto, sources: Sequence[Ids]) -> list[Floats]:
    """Keys and values of each decoder layer, [2H, N, d], of sources packed into one axis."""
    session = open_session(encoder.SerializeToString())
    packed = dict(zip(ENCODER_INPUTS, pack_ids(sources), strict=True))
    found = session.run(packed, cross_outputs(SPEC))
    return [found[name] for name in cross_outputs(SPEC)]


def forced_logits(
    graphs: TransformerGraphs,
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    joins: Sequence[int],
) -> list[Floats]:
    """Logits [T, V] after each of a row's target tokens; row i joins at step `joins[i]`, in order.

    A row that has said its whole target keeps its slot and goes on with the end token.
    """
    decoder = open_session(graphs.decoder.SerializeToString())
    cross = encode(graphs.encoder, sources)
    ends = np.cumsum([len(source) for source in sources]).tolist()
    starts = [0, *ends[:-1]]
    steps = max(join + len(target) for join, target in zip(joins, targets, strict=True))
    slots = Slots(SPEC, len(sources))
    slots.reserve(source=max(map(len, sources)), target=steps + 1)
    said: list[list[Floats]] = [[] for _ in sources]
    for step in range(steps):
        while slots.count < len(sources) and joins[slots.count] == step:
            row = slots.count
            slots.add(cross, slice(starts[row], ends[row]), limit=steps)
            slots.input_ids[row] = targets[row][0]
        decoder.run_bound(decoder.bind(slots.inputs(), slots.outputs(logits=True)))
        assert slots.logits is not None
        for row in range(slots.count):
            age = step - joins[row]
            if age < len(targets[row]):
                said[row].append(slots.logits[row].copy())
            slots.position_ids[row] += 1
            slots.input_ids[row] = targets[row][age + 1] if age + 1 < len(targets[row]) else EOS
    return [np.stack(rows) for rows in said]
