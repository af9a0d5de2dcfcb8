import numpy as np
import onnx
import pytest
import torch

from export.convert.half import in_half
from export.convert.image_graph import image_graph
from export.convert.text_graph import text_graph
from service.runtime.session import open_session
from tests.export.tiny_networks import SIDE, images, resnet, text_network

pytestmark = pytest.mark.timeout(300)  # torch's exporter takes its time


def weight_types(graph: onnx.ModelProto) -> set[int]:
    return {one.data_type for one in graph.graph.initializer if len(one.dims) > 1}


def test_images_are_told_apart_as_in_full_precision() -> None:
    full = image_graph(resnet(), SIDE, SIDE)
    kept = full.SerializeToString()
    half = in_half(full)
    onnx.checker.check_model(half)
    assert full.SerializeToString() == kept, "what is converted is left as it was"
    assert weight_types(half) == {onnx.TensorProto.FLOAT16}
    pixels = {"pixel_values": images(5).numpy()}
    found, expected = (
        open_session(graph.SerializeToString()).run(pixels)["logits"] for graph in (half, full)
    )
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("kind", ["lstm", "gru", "cnn"])
def test_texts_too(kind: str) -> None:
    full = text_graph(text_network(kind))
    half = in_half(full)
    ids = torch.randint(1, 20, (3, 7), generator=torch.Generator().manual_seed(1)).numpy()
    texts = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    found, expected = (
        open_session(graph.SerializeToString()).run(texts)["logits"] for graph in (half, full)
    )
    assert 0 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
