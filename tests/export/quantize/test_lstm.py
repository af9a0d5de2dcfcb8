"""An LSTM in bytes: what its guards promise, and that they are what keeps the promise."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from export.convert.text_graph import text_graph
from export.networks.text import TextConfig, TextNetwork
from export.quantize.lstm import GUARDS, LARGEST, LEAST, with_guards
from export.quantize.text import quantize_text
from service.runtime.collate import pad_ids
from service.runtime.session import open_session
from tests.export.tiny_networks import PAD, Floats, Ids, ids

VOCABULARY, HIDDEN = 300, 13
ROWS = ids([3, 20, 1, 9, 40, 7], VOCABULARY)


@pytest.fixture(scope="module")
def fp32() -> onnx.ModelProto:
    """Weights so large that many gates are open or shut, and states near their bounds."""
    torch.manual_seed(0)
    network = TextNetwork(TextConfig(VOCABULARY, 2, embedding=10, hidden=HIDDEN)).eval()
    with torch.no_grad():
        for weight in network.reader.parameters():
            weight.mul_(4)
    return text_graph(network)


@pytest.fixture(scope="module")
def int8(fp32: onnx.ModelProto) -> onnx.ModelProto:
    return quantize_text(fp32)


def with_states(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, whose last output are the LSTM's states."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    (lstm,) = (n for n in model.graph.node if n.op_type in ("LSTM", "DynamicQuantizeLSTM"))
    watched.graph.output.append(
        helper.make_tensor_value_info(lstm.output[0], TensorProto.FLOAT, [None] * 4)
    )
    return watched


def states(model: onnx.ModelProto, rows: list[Ids]) -> Floats:
    """[T, 2, N, hidden], both directions as they are read: the second turned round."""
    session = open_session(with_states(model).SerializeToString())
    ids_NT, mask_NT = pad_ids(rows, PAD)
    *_, found = session.run({"input_ids": ids_NT, "attention_mask": mask_NT}).values()
    for n, row in enumerate(rows):
        found[: len(row), 1, n] = found[: len(row), 1, n][::-1]
    return found


def logits(model: onnx.ModelProto, rows: list[Ids]) -> Floats:
    ids_NT, mask_NT = pad_ids(rows, PAD)
    session = open_session(model.SerializeToString())
    return session.run({"input_ids": ids_NT, "attention_mask": mask_NT})["logits"]


def without_guards(model: onnx.ModelProto) -> onnx.ModelProto:
    """As it was with neither the cells nor the columns that hold the bounds."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for tensor in bare.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name == "lstm.guarded_bias":
            values[np.abs(values) == 40] = 0
        elif tensor.name == "embedding_int8":
            values[:, -GUARDS:] = 0
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bare


def test_a_text_has_the_same_answer_alone_and_among_others(int8: onnx.ModelProto) -> None:
    alone = np.concatenate([logits(int8, [row]) for row in ROWS])
    np.testing.assert_allclose(logits(int8, ROWS), alone, rtol=0, atol=1e-6)


def test_it_would_not_without_guards(int8: onnx.ModelProto) -> None:
    bare = without_guards(int8)
    alone = np.concatenate([logits(bare, [row]) for row in ROWS])
    assert np.abs(logits(bare, ROWS) - alone).max() > 1e-4


def test_guards_are_the_bounds_of_every_state(int8: onnx.ModelProto) -> None:
    found = states(int8, ROWS)
    for n, row in enumerate(ROWS):
        for direction in range(2):
            guards = found[: len(row), direction, n, HIDDEN : HIDDEN + GUARDS]
            assert (guards == [-1.0, 1.0]).all(), "from the first token on"
    assert 0.9 < np.abs(found[..., :HIDDEN]).max() <= 1.0


def test_states_are_those_of_fp32_within_what_bytes_can_tell(
    fp32: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    rows = ROWS[:1]
    found = states(int8, rows)[..., :HIDDEN]
    np.testing.assert_allclose(found, states(fp32, rows), atol=0.06)


def test_bytes_of_the_table_are_taken_as_they_are() -> None:
    table_VE = np.linspace(-3, 3, 40, dtype=np.float32).reshape(20, 2) * [1, 0.01]
    lstm = with_guards(
        table_VE.astype(np.float32),
        np.ones((2, 4 * 3, 2), np.float32),
        np.ones((2, 4 * 3, 3), np.float32),
        np.zeros((2, 8 * 3), np.float32),
    )
    bytes_VE = lstm.table[:, :2]
    assert (np.abs(bytes_VE).max(axis=0) == LARGEST).all()
    scale = lstm.weight.values[0, :2, 0] * lstm.weight.scales[0, 0]
    np.testing.assert_allclose(bytes_VE * scale, table_VE, atol=0.03)
    assert (lstm.table[:, 2:] == [LEAST, LARGEST]).all()
    # with them a range is 255 steps of one
    assert LARGEST - LEAST == 255


def test_products_cannot_saturate_and_new_cells_hear_nothing() -> None:
    drawn = np.random.default_rng(0)
    shapes = ((7, 2), (2, 4 * 3, 2), (2, 4 * 3, 3), (2, 8 * 3))
    lstm = with_guards(*(drawn.normal(size=shape).astype(np.float32) for shape in shapes))
    assert lstm.hidden == 8
    for matrix in (lstm.weight, lstm.recurrence):
        assert np.abs(matrix.values).max() == 63
        by_gate = matrix.values.reshape(2, -1, 4, 8)
        assert (by_gate[..., 3:] == 0).all()
        assert (by_gate[..., :3] != 0).any()
        assert (by_gate[:, shapes[1][2] if matrix is lstm.weight else 3 :] == 0).all()


def test_a_column_of_zeros_stays_one() -> None:
    lstm = with_guards(
        np.zeros((5, 2), np.float32),
        np.ones((2, 8, 2), np.float32),
        np.ones((2, 8, 2), np.float32),
        np.zeros((2, 16), np.float32),
    )
    assert (lstm.table[:, :2] == 0).all()
    assert np.isfinite(lstm.weight.scales).all()
