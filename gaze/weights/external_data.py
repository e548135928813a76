"""Whether an ONNX file keeps weights in other files, which ONNX Runtime would read from the working folder, unchecked.

The small install has no `onnx`, so the fields of its protocol buffer (onnx.proto3) are looked at here.
"""

from collections.abc import Iterator

_KEY = b"location"
"""Whatever names another file holds this word (onnx.proto3, `TensorProto.external_data`)."""

_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}
"""Message -> its fields that may hold a tensor, and what they are."""

_DEEPEST = 100
"""Messages within messages, as protocol buffers are read by default."""


def has_external_data(content: bytes) -> bool:
    """Whether the model in `content` names other files; also where that cannot be told, as the file is damaged."""
    if _KEY not in content:
        return False
    try:
        return _holds(memoryview(content), "model", _DEEPEST)
    except (IndexError, ValueError):
        return True


def _holds(message: memoryview, kind: str, deepest: int) -> bool:
    if deepest == 0:
        raise ValueError("too many messages within messages")
    for number, value in _fields(message):
        inside = _FIELDS[kind].get(number)
        if inside == "external" or (inside and _holds(value, inside, deepest - 1)):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields of varying length; the others are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == 2:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        elif wire == 0:
            at = _varint(message, at)[1]
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
