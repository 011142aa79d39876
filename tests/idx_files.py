"""Files in the format of MNIST, made by hand."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Container
from pathlib import Path

import numpy as np


def idx(values: np.ndarray) -> bytes:
    """The bytes of an IDX file, written after the format's own description."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def four_files(folder: Path, train: int = 24, test: int = 12, packed: Container[str] = ()) -> None:
    """A tiny MNIST: image k shows the digit k modulo 10 as the brightness of one pixel."""
    for part, count in (("train", train), ("t10k", test)):
        pixels = np.zeros((count, 28, 28), np.uint8)
        pixels[:, 3, 5] = digits = np.arange(count) % 10
        for name, values in ((f"{part}-images-idx3-ubyte", pixels), (f"{part}-labels-idx1-ubyte", digits)):
            if part in packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
            else:
                (folder / name).write_bytes(idx(values))
