"""What an ONNX file says of its origin, read without the onnx package, which serving never has."""

from typing import NamedTuple

from service.runtime.protobuf import as_bytes, as_number, as_text, fields

# field numbers of the format's ModelProto and OperatorSetIdProto
PRODUCER, PRODUCER_VERSION, OPSET_IMPORT = 2, 3, 8
DOMAIN, VERSION = 1, 2


class GraphHeader(NamedTuple):
    """The program that wrote the graph, as `name version`, and the version of its operators."""

    producer: str
    opset: int


def read_header(graph: bytes) -> GraphHeader:
    """Raises ValueError for bytes that are no ONNX graph."""
    producer: list[str] = []
    opset = 0
    for field, value in fields(memoryview(graph)):
        if field in (PRODUCER, PRODUCER_VERSION):
            producer.append(as_text(value))
        elif field == OPSET_IMPORT:
            found = dict(fields(as_bytes(value)))
            if as_text(found.get(DOMAIN, memoryview(b""))) in ("", "ai.onnx"):
                opset = as_number(found.get(VERSION, 0))
    if opset < 1:
        raise ValueError("the file is no ONNX graph: it names no version of its operators")
    return GraphHeader(" ".join(producer), opset)
