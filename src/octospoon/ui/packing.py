"""One binary document for the browser: a JSON header, and typed arrays that need no parsing.

The layout is: 4 bytes ``OSP1``, the length of the header as uint32, the header, zeros up to a multiple of 8,
and the arrays one after another, each padded to a multiple of 8. All numbers are little-endian. The header's
``arrays`` has the name, the type (``f4``, ``i4``, ``i2`` or ``u1``), the shape and the offset of each array,
counted from the first array.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

MAGIC = b"OSP1"
TYPES = ("f4", "i4", "i2", "u1")
_ALIGNED = 8


def pack(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the document.

    Args:
        header: anything that JSON can hold, except for the key ``arrays``.
        arrays: of one of `TYPES`, by name.
    """
    described, parts, offset = [], [], 0
    for name, array in arrays.items():
        kind = array.dtype.str[1:]
        if kind not in TYPES:
            raise ValueError(f"{name} has the type {kind}, which is none of {', '.join(TYPES)}")
        data = np.ascontiguousarray(array, f"<{kind}").tobytes()
        described.append({"name": name, "type": kind, "shape": list(array.shape), "offset": offset})
        parts.append(data + bytes(-len(data) % _ALIGNED))
        offset += len(parts[-1])
    text = json.dumps({**header, "arrays": described}, ensure_ascii=False, allow_nan=False).encode()
    start = MAGIC + len(text).to_bytes(4, "little") + text
    return start + bytes(-len(start) % _ALIGNED) + b"".join(parts)


def unpack(document: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return the header and the arrays of a document that `pack` made.

    Raises:
        ValueError: it is not such a document.
    """
    if document[:4] != MAGIC:
        raise ValueError("this is not a document of octospoon's page")
    end = 8 + int.from_bytes(document[4:8], "little")
    header = json.loads(document[8:end])
    first = end + -end % _ALIGNED
    arrays = {
        array["name"]: np.frombuffer(
            document, f"<{array['type']}", int(np.prod(array["shape"])), first + array["offset"]
        ).reshape(array["shape"])
        for array in header.pop("arrays")
    }
    return header, arrays
