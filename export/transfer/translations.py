"""Translation networks from what was learnt before: all of it, and the vocabulary or another."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from export.networks.transformer import Transformer, TransformerConfig
from export.transfer.errors import TransferError
from export.transfer.source import Published, Source, require
from export.transfer.vocabulary import Respelling
from model_zoo.manifest import TranslationInput

TOGETHER = "query_key_value"


def start_translator(
    source: Source,
    languages: tuple[str, str],
    plain: TransformerConfig,
    respelling: Respelling | None = None,
) -> Transformer:
    """A network of the source's sizes that translates as the source does, or as it does the other
    way round: both languages share one vocabulary.

    `plain` gives what no weight tells: dropout, of a checkpoint its heads, and the size of another
    vocabulary, whose tokens `respelling` knows. Raises TransferError.
    """
    if isinstance(source, Published):
        config, weights = _published(source, languages, plain)
    else:
        weights = dict(source.weights)
        config = _shape(source.title, weights, plain)
    if respelling is not None:
        config = replace(config, vocabulary=plain.vocabulary)
        for name in ("embedding.weight", "output_bias"):
            weights[name] = respelling.rows(weights[name], plain.vocabulary)
    network = Transformer(config)
    missing, odd = network.load_state_dict(weights, strict=False)
    absent = [name for name in missing if name != "positions"]  # a table made by rule
    if absent or odd:
        names = ", ".join([*absent, *odd][:3])
        raise TransferError(f"{source.title} holds weights of another network: see {names}")
    return network


def is_turned(source: Source | None, languages: tuple[str, str]) -> bool:
    """Whether the source is known to translate the other way round: much is to be learnt anew."""
    if not isinstance(source, Published):
        return False
    spec = source.manifest.preprocessing
    return isinstance(spec, TranslationInput) and (spec.target, spec.source) == languages


def _published(
    source: Published, languages: tuple[str, str], plain: TransformerConfig
) -> tuple[TransformerConfig, dict[str, Tensor]]:
    spec = source.manifest.preprocessing
    assert isinstance(spec, TranslationInput)
    if {spec.source, spec.target} != set(languages):
        raise TransferError(
            f"{source.title} translates {spec.source}-{spec.target}, and this is "
            f"{'-'.join(languages)}"
        )
    table, bias = require(source, "embedding", "output.bias")
    width = table.shape[1]
    weights = {"embedding.weight": table / width**0.5, "output_bias": bias}
    for name, value in source.constants.items():
        if name.startswith(("encoder", "decoder")):
            path, _, part = name.rpartition(".")
            linear = part == "weight"
            weights[f"{path}.{'bias' if part == 'bias' else 'weight'}"] = (
                value.T if linear else value
            )
    weights = _joined(weights)
    plain = replace(plain, heads=spec.heads)
    return _shape(source.title, weights, plain), weights


def _joined(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the three parts in one that a graph may hold apart: query, key and value."""
    joined = dict(weights)
    for name in weights:
        path, first, part = name.partition(f"{TOGETHER}.0.")
        if first:
            parts = [joined.pop(f"{path}{TOGETHER}.{number}.{part}") for number in range(3)]
            joined[f"{path}{TOGETHER}.{part}"] = torch.cat(parts)
    return joined


def _shape(
    title: str, weights: Mapping[str, Tensor], plain: TransformerConfig
) -> TransformerConfig:
    inner = weights.get("encoder.0.feed_forward.0.weight", torch.empty(0))
    table = weights.get("embedding.weight", torch.empty(0))
    if inner.ndim != 2 or table.ndim != 2:
        raise TransferError(f"{title} holds no translation network")
    vocabulary, width = table.shape
    return replace(
        plain,
        vocabulary=vocabulary,
        width=width,
        feed_forward=len(inner),
        encoder_layers=_layers(weights, "encoder"),
        decoder_layers=_layers(weights, "decoder"),
    )


def _layers(weights: Mapping[str, Tensor], stack: str) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith(f"{stack}.")})
