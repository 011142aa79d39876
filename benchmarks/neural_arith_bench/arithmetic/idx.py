"""Reads IDX files of bytes, the format of MNIST (http://yann.lecun.com/exdb/mnist), compressed by gzip or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from neural_arith.errors import DataError

_BYTES = 0x08
"""The code of unsigned bytes in the third byte of a file."""


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of a file.

    The format: two zero bytes, the code of the type, the number of dimensions, the sizes as big-endian 32-bit numbers,
    the values in row-major order.

    Args:
        path: the file.
        dimensions: how many the array must have.

    Returns:
        Unsigned bytes, as many dimensions as asked.

    Raises:
        DataError: the file cannot be read, or is none of this kind, or has another length than it says.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes((0, 0, _BYTES, dimensions)):
        raise DataError(
            f"{path} is not an IDX file of bytes with {dimensions} dimensions; it begins {content[:4].hex()}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, 4))
    if len(content) - head != math.prod(shape):
        raise DataError(
            f"{path} says it has {math.prod(shape)} values but has {len(content) - head}; fetch it again, it is damaged"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
