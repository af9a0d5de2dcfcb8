"""Text networks from what was learnt before: embedding, reader, and the head where labels agree."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from export.convert.text_graph import GATES
from export.networks.kinds import TEXT_KINDS, TextKind
from export.networks.ngrams import NgramVotes
from export.networks.text import TextConfig, TextNetwork
from export.transfer.errors import TransferError
from export.transfer.source import Checkpoint, Published, Source, require

HEAD = ("head.weight", "head.bias")


def start_text_network(
    source: Source, labels: Sequence[str], kind: TextKind | None, plain: TextConfig
) -> TextNetwork:
    """A network of the source's kind and sizes that knows what the source knows.

    With other labels the head is new. `kind` is what the user asked for, if anything; `plain` gives
    what no weight tells, such as dropout. Raises TransferError.
    """
    weights = _weights(source)
    config = replace(_shape(source, weights, plain), classes=len(labels))
    if kind is not None and kind != config.kind:
        raise TransferError(
            f"{source.title} is a {config.kind}: give --network {config.kind}, or none at all"
        )
    network = TextNetwork(config)
    same = _has_these_labels(source, weights, labels)
    taken = {name: value for name, value in weights.items() if same or name not in HEAD}
    _, odd = network.load_state_dict(taken, strict=False)
    if odd:
        raise TransferError(f"{source.title} holds weights of another network: {', '.join(odd)}")
    if isinstance(source, Published) and same and "ngrams" in source.constants:
        network.votes = NgramVotes(source.constants["ngrams"])
    return network


def _has_these_labels(source: Source, weights: Mapping[str, Tensor], labels: Sequence[str]) -> bool:
    """A checkpoint has no names: as many classes count as the same."""
    if isinstance(source, Published):
        return source.manifest.labels == tuple(labels)
    return len(weights["head.bias"]) == len(labels)


def _shape(source: Source, weights: Mapping[str, Tensor], plain: TextConfig) -> TextConfig:
    kind, kernels, hidden = _reader(source, weights)
    vocabulary, embedding = weights["embedding.weight"].shape
    return replace(
        plain,
        vocabulary=vocabulary,
        embedding=embedding,
        kind=kind,
        kernels=kernels or plain.kernels,
        hidden=hidden,
    )


def _reader(source: Source, weights: Mapping[str, Tensor]) -> tuple[TextKind, tuple[int, ...], int]:
    """Kind, window sizes (of a CNN) and hidden width, as the shapes tell."""
    windows = [v for name, v in weights.items() if name.endswith("weight") and v.ndim == 3]
    if windows:
        return "cnn", tuple(int(window.shape[2]) for window in windows), len(windows[0])
    recurrence = weights.get("reader.ahead.weight_hh_l0")
    if recurrence is None or "embedding.weight" not in weights or "head.bias" not in weights:
        raise TransferError(f"{source.title} holds no text network")
    rows, hidden = recurrence.shape
    gates = {len(order): kind.lower() for kind, order in GATES.items()}
    kind = gates[rows // hidden]
    return next(known for known in TEXT_KINDS if known == kind), (), hidden


def _weights(source: Source) -> dict[str, Tensor]:
    """By the names that the network has for them."""
    if isinstance(source, Checkpoint):
        return dict(source.weights)
    table, head, bias = require(source, "embedding", *HEAD)
    weights = {"embedding.weight": table, "head.weight": head.T, "head.bias": bias}
    for name in GATES:
        if f"{name.lower()}.weight" in source.constants:
            weights |= _recurrent(source, name)
    sizes = [n.split(".")[1] for n in source.constants if n.startswith("cnn.") and "weight" in n]
    for place, size in enumerate(sorted(sizes, key=int)):
        weight, bias = require(source, f"cnn.{size}.weight", f"cnn.{size}.bias")
        weights[f"reader.windows.{place}.weight"] = weight
        weights[f"reader.windows.{place}.bias"] = bias
    return weights


def _recurrent(source: Published, kind: str) -> dict[str, Tensor]:
    """Both directions, the gates back in torch's order."""
    order, name = GATES[kind], kind.lower()
    inputs, states, biases = require(source, f"{name}.weight", f"{name}.recurrence", f"{name}.bias")
    weights = {}
    for direction, place in (("ahead", 0), ("back", 1)):
        of_input, of_state = biases[place].chunk(2)
        parts = {
            "weight_ih_l0": inputs[place],
            "weight_hh_l0": states[place],
            "bias_ih_l0": of_input,
            "bias_hh_l0": of_state,
        }
        for part, value in parts.items():
            gates = value.chunk(len(order))
            back = torch.cat([gates[order.index(gate)] for gate in range(len(order))])
            weights[f"reader.{direction}.{part}"] = back
    return weights
