"""Images of digits: the scanned ones that come with scikit-learn, and MNIST where the user has the files."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neural_arith.errors import DataError, OptionError

_VALIDATION, _TEST = 200, 400
"""Scanned digits, of 1797, that are kept for validation and test."""

_SIDE = 28
"""Pixels along an edge of an MNIST image."""

_SHARE = 12
"""One of so many MNIST training images is for validation: 5,000 of 60,000."""


@dataclass(frozen=True)
class Labelled:
    """Images with the digits they show.

    Attributes:
        images: standardised brightness, shape ``(images, height, width)``, float32.
        digits: shape ``(images,)``, int64.
    """

    images: Tensor
    digits: Tensor

    def only(self, digits: Sequence[int]) -> Labelled:
        """Those that show one of some digits."""
        kept = torch.isin(self.digits, torch.tensor(list(digits)))
        return Labelled(self.images[kept], self.digits[kept])


@dataclass(frozen=True)
class DigitImages:
    """A set of images in three parts.

    Attributes:
        name: ``"scans"`` or ``"mnist"``.
        train: for training.
        validation: picks the epoch.
        test: judges.
    """

    name: str
    train: Labelled
    validation: Labelled
    test: Labelled

    @property
    def side(self) -> int:
        """Pixels along an edge."""
        return self.train.images.shape[-1]

    def only(self, digits: Sequence[int]) -> DigitImages:
        """Those that show one of some digits.

        Raises:
            DataError: a part has none.
        """
        parts = [part.only(digits) for part in (self.train, self.validation, self.test)]
        if not all(len(part.digits) for part in parts):
            raise DataError(f"every part of the images needs some of the digits {', '.join(map(str, digits))}")
        return DigitImages(self.name, *parts)


def scanned_digits() -> DigitImages:
    """The 1797 scans of 8 x 8 pixels that scikit-learn brings along (Alpaydin, Kaynak 1998, test part).

    In an order drawn once, the same for all seeds: 1197 for training, 200 for validation, 400 for the test. (In their
    own order, by their writers, validation tells little about the test.)

    Raises:
        OptionError: scikit-learn is missing.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise OptionError("the scanned digits come with scikit-learn: pip install scikit-learn") from None
    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    pixels, digits = pixels[order], digits[order]
    ends = len(digits) - _TEST - _VALIDATION, len(digits) - _TEST
    return _parts("scans", np.split(pixels.reshape(-1, 8, 8), ends), np.split(digits, ends))


def mnist(folder: Path) -> DigitImages:
    """MNIST from its four files, compressed or not: 55,000 for training, 5,000 for validation, 10,000 for the test.

    Args:
        folder: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and both for ``t10k``, with or without
            ``.gz``.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
    """
    (pixels, digits), (test_pixels, test_digits) = _read(folder, "train"), _read(folder, "t10k")
    end = len(digits) - len(digits) // _SHARE
    return _parts("mnist", [pixels[:end], pixels[end:], test_pixels], [digits[:end], digits[end:], test_digits])


def _read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    pixels = read_idx(_file(folder, f"{part}-images-idx3-ubyte"), 3)
    digits = read_idx(_file(folder, f"{part}-labels-idx1-ubyte"), 1)
    if pixels.shape != (len(digits), _SIDE, _SIDE) or digits.max(initial=0) > 9 or len(digits) < _SHARE:
        raise DataError(
            f"the files of {part} in {folder} do not fit: images {pixels.shape}, {len(digits)} labels up to "
            f"{digits.max(initial=0)}; expected images of {_SIDE} x {_SIDE} pixels, one label from 0 to 9 for each"
        )
    return pixels, digits


def _file(folder: Path, name: str) -> Path:
    # torchvision writes the first form, some mirrors a dot in place of the second dash
    forms = [name, name.replace("-idx", ".idx")]
    for form in forms:
        for path in (folder / form, folder / f"{form}.gz"):
            if path.is_file():
                return path
    raise DataError(f"--mnist {folder}: no file {name}, with or without .gz; give the folder with MNIST's four files")


def _parts(name: str, pixels: Sequence[np.ndarray], digits: Sequence[np.ndarray]) -> DigitImages:
    mean, deviation = pixels[0].mean(), pixels[0].std() or 1.0
    return DigitImages(
        name,
        *(
            Labelled(
                torch.from_numpy(((images - mean) / deviation).astype(np.float32)), torch.from_numpy(d.astype(int))
            )
            for images, d in zip(pixels, digits, strict=True)
        ),
    )


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
