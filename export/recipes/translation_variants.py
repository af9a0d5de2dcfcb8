"""The precisions in which a translator is published: fp32 as trained, and int8 with a shortlist."""

from collections.abc import Iterator, Mapping

import onnx
from torch import Tensor
from torch.nn import functional

from export.convert.transformer_graphs import transformer_graphs
from export.networks.transformer import Transformer
from export.quantize.shortlist import COMMON, shortlist_graph
from export.quantize.transformer import OUTPUT_LAYER, calibrate, quantize_transformer
from export.recipes.translation_training import EncodedPairs, padded, token_batches
from export.shortlist import learn_lexicon
from export.tokens import BOS_ID, EOS_ID, PAD_ID
from model_zoo.manifest import Precision, Role

CALIBRATION_PAIRS = 500
# in a smaller vocabulary there is little to leave out
SMALLEST_VOCABULARY = 4096

Variants = dict[Precision, Mapping[Role, onnx.ModelProto]]


def variants(network: Transformer, train: EncodedPairs, validation: EncodedPairs) -> Variants:
    """Graphs by precision: scales are measured on validation pairs, candidates on training ones."""
    plain = transformer_graphs(network)
    ranges = calibrate(network, _calibration(validation), PAD_ID)
    int8: dict[Role, onnx.ModelProto] = {
        "encoder": quantize_transformer(plain.encoder, ranges),
        "decoder": quantize_transformer(plain.decoder, ranges),
    }
    vocabulary = network.config.vocabulary
    if vocabulary >= SMALLEST_VOCABULARY:
        lexicon = learn_lexicon(train.sources, train.targets, vocabulary, [EOS_ID], COMMON)
        hidden = ranges[OUTPUT_LAYER]
        short = shortlist_graph(network, lexicon, max(-hidden.low, hidden.high))
        decoder = transformer_graphs(network, short.output).decoder
        int8 |= {"decoder": quantize_transformer(decoder, ranges), "shortlist": short.graph}
    return {"fp32": {"encoder": plain.encoder, "decoder": plain.decoder}, "int8": int8}


def _calibration(validation: EncodedPairs) -> Iterator[tuple[Tensor, Tensor]]:
    """Source and what the decoder is given, of the first validation pairs."""
    few = EncodedPairs(
        validation.sources[:CALIBRATION_PAIRS], validation.targets[:CALIBRATION_PAIRS]
    )
    for rows in token_batches(few, 2000, (0,)):
        source_NS, target_NT = padded(few, rows)
        yield source_NS, functional.pad(target_NT[:, :-1], (1, 0), value=BOS_ID)
