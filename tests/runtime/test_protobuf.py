"""Messages are read and written as the format's own package does."""

from collections.abc import Callable
from typing import Any

import pytest
from onnx import StringStringEntryProto, TensorProto

from service.runtime.protobuf import Value, as_bytes, as_number, as_text, message
from service.runtime.protobuf import fields as read
from tests.runtime.tiny_models import image_graph


def plain(data: bytes) -> list[tuple[int, int | bytes]]:
    return [(n, v if isinstance(v, int) else bytes(v)) for n, v in read(memoryview(data))]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152])
def test_numbers_and_lengths_of_all_sizes_come_back(size: int) -> None:
    parts: list[tuple[int, int | bytes]] = [(1, size), (15, b"x" * size), (16, size), (5000, b"")]
    assert plain(message(parts)) == parts


def test_what_is_written_is_what_the_package_writes() -> None:
    tensor = TensorProto(dims=[3, 300], data_type=3, name="w", raw_data=b"\x00" * 900)
    parts: list[tuple[int, int | bytes]] = [(1, 3), (1, 300), (2, 3), (8, b"w"), (9, bytes(900))]
    assert message(parts) == tensor.SerializeToString()
    assert plain(tensor.SerializeToString()) == parts


def test_a_whole_graph_comes_back() -> None:
    graph = image_graph()
    assert message(read(memoryview(graph))) == graph


def test_fields_of_fixed_width_are_their_bytes() -> None:
    tensor = TensorProto(float_data=[1.5], double_data=[2.5])
    entry = StringStringEntryProto(key="k").SerializeToString()
    single, double = b"\x25\x00\x00\xc0\x3f", b"\x29" + bytes(6) + b"\x04\x40"
    assert plain(single + double + entry) == [
        (4, b"\x00\x00\xc0\x3f"),
        (5, bytes(6) + b"\x04\x40"),
        (1, b"k"),
    ]
    assert plain(tensor.SerializeToString())[0] == (4, b"\x00\x00\xc0\x3f")


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x02a", b"\x08", b"\x08\xff", b"\x0b", b"\x0d\x00"]
)
def test_what_is_no_message_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no ONNX graph: .* at byte"):
        list(read(memoryview(data)))


@pytest.mark.parametrize(
    ("convert", "value"),
    [(as_bytes, 3), (as_text, 3), (as_text, memoryview(b"\xff")), (as_number, memoryview(b"3"))],
)
def test_a_field_of_another_kind_is_an_error(convert: Callable[[Value], Any], value: Value) -> None:
    with pytest.raises(ValueError, match="no ONNX graph"):
        convert(value)
