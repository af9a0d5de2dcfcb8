"""What an ONNX file says of its origin, read without the onnx package, which serving never has."""

from typing import NamedTuple

from service.runtime.protobuf import fields

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
        if field in (PRODUCER, PRODUCER_VERSION) and isinstance(value, memoryview):
            producer.append(bytes(value).decode(errors="replace"))
        elif field == OPSET_IMPORT and isinstance(value, memoryview):
            found = dict(fields(value))
            domain = found.get(DOMAIN, b"")
            if not isinstance(domain, int) and bytes(domain) in (b"", b"ai.onnx"):
                version = found.get(VERSION, 0)
                opset = version if isinstance(version, int) else 0
    if opset < 1:
        raise ValueError("the file is no ONNX graph: it names no version of its operators")
    return GraphHeader(" ".join(producer), opset)
