from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from export.convert.transformer_graphs import TransformerGraphs, transformer_graphs
from export.networks.transformer import Transformer
from export.quantize.transformer import Range, calibrate, quantize_transformer, range_of
from export.quantize.weights import LARGEST
from service.runtime.generate import Generator
from service.runtime.session import open_session
from tests.export.stepping import encode, forced_logits, serialized
from tests.export.tiny_networks import (
    BOS,
    PAD,
    SPEC,
    TRANSLATIONS,
    Ids,
    Source,
    ids,
    sentences,
    transformer,
)

LENGTHS = (1, 2, 3, 7, 12, 5, 20, 9, 40, 4, 6, 30)


@pytest.fixture(scope="module")
def network() -> Transformer:
    return transformer()


def calibration(extra: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Sources and what the decoder is given, padded together, with so much padding more."""
    for seed in range(5):
        rows = sentences([4, 9, 17, 30], seed)
        given = [np.insert(row[:-1], 0, BOS) for row in sentences([20, 7, 12, 3], seed + 50)]
        yield padded(rows, extra), padded(given, extra)


def padded(rows: list[Ids], extra: int) -> Tensor:
    tensors = [torch.from_numpy(row) for row in rows]
    together = nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=PAD)
    return nn.functional.pad(together, (0, extra), value=PAD)


@pytest.fixture(scope="module")
def ranges(network: Transformer) -> dict[str, Range]:
    return calibrate(network, calibration(), PAD)


@pytest.fixture(scope="module")
def fp32(network: Transformer) -> TransformerGraphs:
    return transformer_graphs(network)


@pytest.fixture(scope="module")
def int8(fp32: TransformerGraphs, ranges: dict[str, Range]) -> TransformerGraphs:
    return TransformerGraphs(
        quantize_transformer(fp32.encoder, ranges), quantize_transformer(fp32.decoder, ranges)
    )


def test_every_product_has_a_range_that_was_measured(
    network: Transformer, ranges: dict[str, Range]
) -> None:
    linear = {path for path, module in network.named_modules() if isinstance(module, nn.Linear)}
    assert set(ranges) == linear | {"output"}
    assert all(found.low < found.high for found in ranges.values())
    behind_relu = [found for path, found in ranges.items() if path.endswith("feed_forward.2")]
    assert all(found.low == 0 for found in behind_relu)


def test_padding_is_not_measured(network: Transformer, ranges: dict[str, Range]) -> None:
    wide = calibrate(network, calibration(extra=9), PAD)
    for path, found in ranges.items():
        assert wide[path].low == pytest.approx(found.low, abs=1e-4)
        assert wide[path].high == pytest.approx(found.high, abs=1e-4)


def test_calibration_stops_watching_the_network(
    network: Transformer, ranges: dict[str, Range]
) -> None:
    before = {path: (found.low, found.high) for path, found in ranges.items()}
    with torch.no_grad():
        for token in range(3, 60):
            network(torch.full((1, 3), token), torch.full((1, 3), token))
    assert {path: (found.low, found.high) for path, found in ranges.items()} == before


def matrices(graph: onnx.ModelProto) -> dict[str, NDArray[np.int8]]:
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.graph.initializer
        if tensor.data_type == TensorProto.INT8
    }


def test_weights_use_seven_bits_and_every_column_its_own_scale(int8: TransformerGraphs) -> None:
    for graph in (int8.encoder, int8.decoder):
        tensors = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
        assert matrices(graph)
        for name, values in matrices(graph).items():
            assert np.abs(values).max() == LARGEST
            assert (np.abs(values).max(axis=0) == LARGEST).all()
            scales = tensors[name.replace("_int8", "_scale")]
            assert scales.shape == (values.shape[1],)
            assert (scales > 0).all()


def is_linear(node: onnx.NodeProto, constants: set[str]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in constants


def test_every_product_with_a_constant_runs_on_bytes(
    fp32: TransformerGraphs, int8: TransformerGraphs
) -> None:
    for before, after in ((fp32.encoder, int8.encoder), (fp32.decoder, int8.decoder)):
        constants = {tensor.name for tensor in before.graph.initializer}
        products = [
            n for n in before.graph.node if n.op_type == "MatMul" and n.input[1] in constants
        ]
        on_bytes = [n for n in after.graph.node if n.op_type == "MatMulIntegerToFloat"]
        assert len(on_bytes) == len(products) > 5
        left = {tensor.name for tensor in after.graph.initializer}
        assert not any(is_linear(node, left) for node in after.graph.node)


def test_what_is_never_negative_uses_all_levels_and_the_rest_both_signs(
    int8: TransformerGraphs, ranges: dict[str, Range]
) -> None:
    for graph in (int8.encoder, int8.decoder):
        tensors = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
        kinds = set()
        for node in graph.graph.node:
            if node.op_type != "MatMulIntegerToFloat":
                continue
            found = range_of(node.input[1].removesuffix(".weight_int8"), ranges)
            scale, zero = float(tensors[node.input[2]]), int(tensors[node.input[4]])
            kinds.add(zero)
            # the greatest value lands on the last level, and none beyond it
            reach = found.high if zero == 0 else max(found.high, -found.low)
            assert reach / scale + zero == pytest.approx(255, abs=1e-3)
        assert kinds == {0, 128}


def test_scales_of_activations_are_constants(int8: TransformerGraphs) -> None:
    """A scale computed from a batch would tie its rows together."""
    for graph in (int8.encoder, int8.decoder):
        constants = {tensor.name for tensor in graph.graph.initializer}
        operators = {node.op_type for node in graph.graph.node}
        assert "DynamicQuantizeLinear" not in operators
        for node in graph.graph.node:
            if node.op_type == "QuantizeLinear":
                assert set(node.input[1:]) <= constants


def test_logits_stay_close_to_those_of_fp32(
    fp32: TransformerGraphs, int8: TransformerGraphs
) -> None:
    sources = sentences([3, 11, 1, 20])
    given = [np.insert(row, 0, BOS) for row in ids([8, 4, 12, 9], SPEC.vocabulary, seed=7)]
    joins = [0, 2, 2, 5]
    expected = np.concatenate(forced_logits(fp32, sources, given, joins))
    found = np.concatenate(forced_logits(int8, sources, given, joins))
    error = np.sqrt(np.mean((found - expected) ** 2))
    assert 0 < error < 0.1 * expected.std()


def test_the_encoder_stays_close_to_that_of_fp32(
    fp32: TransformerGraphs, int8: TransformerGraphs
) -> None:
    sources = sentences([5, 17, 2])
    both = zip(encode(fp32.encoder, sources), encode(int8.encoder, sources), strict=True)
    for expected, found in both:
        assert np.sqrt(np.mean((found - expected) ** 2)) < 0.1 * expected.std()


def test_a_translation_does_not_depend_on_who_shares_the_batch(int8: TransformerGraphs) -> None:
    sessions = {role: open_session(graph) for role, graph in serialized(int8).items()}
    runner = Generator(sessions["encoder"], sessions["decoder"], SPEC, slots=5)
    sources = [Source(source) for source in sentences(LENGTHS)]
    alone = [runner.run([source])[0] for source in sources]
    together = runner.run(sources)
    assert [answer.ids for answer in together] == [answer.ids for answer in alone]
    scores = [answer.score for answer in alone]
    assert [answer.score for answer in together] == pytest.approx(scores, abs=1e-5)


def constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_tokens_are_embedded_from_bytes_each_with_a_scale_of_its_own(
    fp32: TransformerGraphs, int8: TransformerGraphs
) -> None:
    for before, after in ((fp32.encoder, int8.encoder), (fp32.decoder, int8.decoder)):
        known, held = constants(before)["embedding"], constants(after)
        assert "embedding" not in held
        rows, scales = held["embedding_bytes"], held["embedding_scales"]
        assert rows.dtype == np.uint8
        assert (rows.shape, scales.shape) == (known.shape, (len(known), 1))
        found = (rows.astype(np.float32) - 128) * scales
        assert (np.abs(found - known) <= 0.501 * scales).all()
        assert (rows.astype(np.int16) - 128).max() == 127


@pytest.mark.parametrize(("width", "heads"), [(48, 2), (8, 1)])
def test_a_width_that_the_operator_does_not_know_keeps_its_embedding(
    width: int, heads: int
) -> None:
    torch.manual_seed(0)
    odd = Transformer(replace(TRANSLATIONS, width=width, heads=heads)).eval()
    pairs = [(torch.tensor([[5, 2]]), torch.tensor([[1, 7]]))]
    graph = quantize_transformer(transformer_graphs(odd).encoder, calibrate(odd, pairs, PAD))
    assert constants(graph)["embedding"].dtype == np.float32
    encode(graph, sentences([4]))


def test_the_files_shrink(fp32: TransformerGraphs, int8: TransformerGraphs) -> None:
    for before, after in ((fp32.encoder, int8.encoder), (fp32.decoder, int8.decoder)):
        assert len(after.SerializeToString()) < 0.75 * len(before.SerializeToString())


def test_a_range_always_holds_zero_and_only_grows() -> None:
    found = Range()
    found.include(torch.tensor([2.0, 5.0]))
    assert (found.low, found.high) == (0.0, 5.0)
    found.include(torch.tensor([-3.0, 1.0]))
    assert (found.low, found.high) == (-3.0, 5.0)
