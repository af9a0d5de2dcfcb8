"""What an ONNX file says of its origin, read without the onnx package, which serving never has."""

from collections.abc import Iterator
from typing import NamedTuple

# field numbers of the format's ModelProto and OperatorSetIdProto
PRODUCER, PRODUCER_VERSION, OPSET_IMPORT = 2, 3, 8
DOMAIN, VERSION = 1, 2
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5


class GraphHeader(NamedTuple):
    """The program that wrote the graph, as `name version`, and the version of its operators."""

    producer: str
    opset: int


def read_header(graph: bytes) -> GraphHeader:
    """Raises ValueError for bytes that are no ONNX graph."""
    producer: list[str] = []
    opset = 0
    for field, value in _fields(memoryview(graph)):
        if field in (PRODUCER, PRODUCER_VERSION) and isinstance(value, memoryview):
            producer.append(bytes(value).decode(errors="replace"))
        elif field == OPSET_IMPORT and isinstance(value, memoryview):
            found = dict(_fields(value))
            domain = found.get(DOMAIN, b"")
            if not isinstance(domain, int) and bytes(domain) in (b"", b"ai.onnx"):
                version = found.get(VERSION, 0)
                opset = version if isinstance(version, int) else 0
    if opset < 1:
        raise ValueError("the file is no ONNX graph: it names no version of its operators")
    return GraphHeader(" ".join(producer), opset)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of one message: numbers as they are, everything with a length as its bytes."""
    place = 0
    try:
        while place < len(data):
            key, place = _varint(data, place)
            kind = key & 7
            if kind == VARINT:
                value, place = _varint(data, place)
                yield key >> 3, value
                continue
            if kind == BYTES:
                size, place = _varint(data, place)
            else:
                size = {FIXED_64: 8, FIXED_32: 4}[kind]
            if place + size > len(data):
                raise IndexError(place + size)
            yield key >> 3, data[place : place + size]
            place += size
    except (IndexError, KeyError) as error:
        raise ValueError(f"the file is no ONNX graph: {error} at byte {place}") from error


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
