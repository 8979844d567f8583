"""Which files an ONNX model refers to: tensors too large for the model's own file lie in others beside it.

The model is read as a Protocol Buffers message of which only the path to tensors is known, so that no library is needed
where a model is identified and not run. Numbers are those of fields in onnx.proto3.
"""

from collections.abc import Iterator
from typing import Final

_FIELDS: Final = {  # of each message, the fields that lead to a tensor, and the message that each holds
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_KEY, _VALUE = 1, 2
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED: Final = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_LONGEST_VARINT = 10


def external_files(model: bytes) -> list[str]:
    """Return the names of files that a model's tensors lie in, as the model gives them; none for anything else."""
    try:
        return sorted(set(_locations(memoryview(model), "model")))
    except (ValueError, IndexError):
        return []  # no ONNX model, which loading it will say


def _locations(message: memoryview, kind: str) -> Iterator[str]:
    for number, content in _fields(message):
        inner = _FIELDS[kind].get(number)
        if inner == "entry":
            entry = {key: bytes(value).decode() for key, value in _fields(content)}
            if entry.get(_KEY) == "location":
                yield entry.get(_VALUE, "")
        elif inner is not None:
            yield from _locations(content, inner)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of the fields of a message that are messages or texts; raise ValueError if broken."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            _, place = _varint(message, place)
            continue
        if kind == _LENGTH:
            size, place = _varint(message, place)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if place + size > len(message):
            raise ValueError("a field is longer than its message")
        if kind == _LENGTH:
            yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the place after it; raise IndexError where the message ends in it."""
    value = 0
    for position in range(_LONGEST_VARINT):
        byte = message[place + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, place + position + 1
    raise ValueError("a number is too long")
