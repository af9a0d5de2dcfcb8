import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from export.convert.text_graph import text_graph
from export.networks.kinds import TEXT_KINDS, TextKind
from export.networks.text import TextConfig, TextNetwork
from export.quantize.text import quantize_text
from service.runtime.collate import pad_ids
from service.runtime.session import Session, open_session
from tests.export.tiny_networks import PAD, Floats, Ids, ids, with_votes

VOCABULARY = 400


@pytest.fixture(scope="module", params=[*TEXT_KINDS, "votes"])
def fp32(request: pytest.FixtureRequest) -> onnx.ModelProto:
    torch.manual_seed(0)
    kind: TextKind = request.param if request.param in TEXT_KINDS else "lstm"
    network = TextNetwork(TextConfig(VOCABULARY, 2, kind, embedding=64, hidden=48)).eval()
    return text_graph(with_votes(network, buckets=4001) if request.param == "votes" else network)


@pytest.fixture(scope="module")
def int8(fp32: onnx.ModelProto) -> onnx.ModelProto:
    return quantize_text(fp32)


def run(session: Session, rows: list[Ids]) -> Floats:
    ids_NT, mask_NT = pad_ids(rows, PAD)
    return session.run({"input_ids": ids_NT, "attention_mask": mask_NT})["logits"]


def test_logits_stay_close_to_those_of_fp32(fp32: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    rows = ids([3, 20, 1, 9, 40], VOCABULARY)
    expected, found = (run(open_session(g.SerializeToString()), rows) for g in (fp32, int8))
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert np.abs(found - expected).max() > 0


def test_the_file_is_about_a_quarter_of_its_size(
    fp32: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    share = len(int8.SerializeToString()) / len(fp32.SerializeToString())
    assert 0.2 < share < 0.34


def test_answers_do_not_depend_on_who_shares_the_batch(int8: onnx.ModelProto) -> None:
    session = open_session(int8.SerializeToString())
    rows = ids([3, 20, 1, 9, 40], VOCABULARY)
    alone = np.concatenate([run(session, [row]) for row in rows])
    np.testing.assert_allclose(run(session, rows), alone, rtol=1e-5, atol=1e-6)


def test_all_that_is_large_is_bytes_and_of_full_range_unless_it_is_multiplied(
    int8: onnx.ModelProto,
) -> None:
    large = {t.name: t for t in int8.graph.initializer if np.prod(t.dims) > 2000}
    assert "embedding_int8" in large
    assert len(large) >= 3
    for name, tensor in large.items():
        assert name.endswith("_int8")
        assert tensor.data_type == TensorProto.INT8
        assert numpy_helper.to_array(tensor).max() == (63 if name.startswith("lstm") else 127)


def test_every_row_and_every_filter_has_a_scale_and_a_narrow_table_one_for_all(
    int8: onnx.ModelProto,
) -> None:
    shapes = {tensor.name: list(tensor.dims) for tensor in int8.graph.initializer}
    for name, shape in shapes.items():
        if name == "embedding_int8" and "lstm.weight_int8" in shapes:
            continue  # its scales are in the weights behind it
        if name.endswith("_int8"):
            scale = shapes[name.replace("_int8", "_scale")]
            if name.startswith("ngrams"):
                assert scale == []
            elif name.startswith("cnn"):
                assert scale == [shape[0], 1, 1]
            elif name.startswith("lstm"):
                assert scale == [2, shape[2]]
            else:
                assert scale == [*shape[:-1], 1]


def test_the_graph_it_was_made_from_is_left_as_it_was(fp32: onnx.ModelProto) -> None:
    before = fp32.SerializeToString()
    quantize_text(fp32)
    assert fp32.SerializeToString() == before
