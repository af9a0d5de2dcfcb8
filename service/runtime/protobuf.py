"""The wire format of Protocol Buffers, in which ONNX files are written, without their packages.

https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterable, Iterator

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5

Value = int | memoryview


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of one message: varints as numbers, everything else as its bytes in `data`.

    Raises ValueError for bytes that are no message, and so no part of an ONNX graph.
    """
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


def as_bytes(value: Value) -> memoryview:
    """A field that is no number; ValueError for one."""
    if isinstance(value, int):
        raise ValueError("the file is no ONNX graph: a number where bytes belong")
    return value


def as_text(value: Value) -> str:
    """A field that is text; ValueError for a number, or where it is not in UTF-8."""
    try:
        return bytes(as_bytes(value)).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is no ONNX graph: {error}") from error


def as_number(value: Value) -> int:
    """A field that is a number; ValueError for any other."""
    if not isinstance(value, int):
        raise ValueError("the file is no ONNX graph: bytes where a number belongs")
    return value


def message(parts: Iterable[tuple[int, int | bytes | memoryview]]) -> bytes:
    """The bytes of a message of these fields, of which none has a fixed width."""
    written = bytearray()
    for number, value in parts:
        if isinstance(value, int):
            written += _as_varint(number << 3 | VARINT) + _as_varint(value)
        else:
            written += _as_varint(number << 3 | BYTES) + _as_varint(len(value)) + value
    return bytes(written)


def _as_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
