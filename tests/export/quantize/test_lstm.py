from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from export.convert.lstm_graph import lstm_graph
from export.networks.lstm import BiLstm
from export.quantize.lstm import quantize_lstm
from service.runtime.collate import pad_ids
from service.runtime.session import Session, open_session
from tests.export.tiny_networks import PAD, TEXTS, Floats, Ids, ids

LARGER = replace(TEXTS, vocabulary=400, embedding=64, hidden=48)


@pytest.fixture(scope="module")
def fp32() -> onnx.ModelProto:
    torch.manual_seed(0)
    return lstm_graph(BiLstm(LARGER).eval())


@pytest.fixture(scope="module")
def int8(fp32: onnx.ModelProto) -> onnx.ModelProto:
    return quantize_lstm(fp32)


def run(session: Session, rows: list[Ids]) -> Floats:
    ids_NT, mask_NT = pad_ids(rows, PAD)
    return session.run({"input_ids": ids_NT, "attention_mask": mask_NT})["logits"]


def test_logits_stay_close_to_those_of_fp32(fp32: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    rows = ids([3, 20, 1, 9, 40], LARGER.vocabulary)
    expected, found = (run(open_session(g.SerializeToString()), rows) for g in (fp32, int8))
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert np.abs(found - expected).max() > 0


def test_the_file_is_about_a_quarter_of_its_size(
    fp32: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    share = len(int8.SerializeToString()) / len(fp32.SerializeToString())
    assert 0.2 < share < 0.33


def test_answers_do_not_depend_on_who_shares_the_batch(int8: onnx.ModelProto) -> None:
    session = open_session(int8.SerializeToString())
    rows = ids([3, 20, 1, 9, 40], LARGER.vocabulary)
    alone = np.concatenate([run(session, [row]) for row in rows])
    np.testing.assert_allclose(run(session, rows), alone, rtol=1e-5, atol=1e-6)


def test_all_large_tables_are_bytes_with_a_scale_a_row(int8: onnx.ModelProto) -> None:
    tensors = {tensor.name: tensor for tensor in int8.graph.initializer}
    large = {name: t for name, t in tensors.items() if np.prod(t.dims) > 2000}
    assert set(large) == {"embedding_int8", "lstm.weight_int8", "lstm.recurrence_int8"}
    for name, tensor in large.items():
        assert tensor.data_type == TensorProto.INT8
        scales = tensors[name.replace("_int8", "_scale")]
        assert list(scales.dims) == [*tensor.dims[:-1], 1]
        assert np.abs(numpy_helper.to_array(tensor)).max() == 127


def test_the_graph_it_was_made_from_is_left_as_it_was(fp32: onnx.ModelProto) -> None:
    before = fp32.SerializeToString()
    quantize_lstm(fp32)
    assert fp32.SerializeToString() == before
