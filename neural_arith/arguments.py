"""Values of command line options: text in, a checked value out, or one line that says what was expected."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable
from pathlib import Path


def names(text: str) -> list[str]:
    """Read ``a,b``; a name that holds a comma stands in double quotes, as in ``"a, left",b``.

    Raises:
        argparse.ArgumentTypeError: a name is empty.
    """
    try:
        found = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [""])]
    except csv.Error:  # a line break
        found = [""]
    if not found or not all(found):
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}")
    return found


def filled(text: str) -> str:
    """Read the name of a file or folder.

    Raises:
        argparse.ArgumentTypeError: it is empty, which would mean the current folder.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or folder")
    return text


def folder(text: str) -> Path:
    """Read the name of a folder.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    return Path(filled(text))


def number(text: str) -> float:
    """Read a finite number.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a finite number, got {text!r}")
    return value


def positive(text: str) -> float:
    """Read a number above zero.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above zero, got {text!r}")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers in a range, which raises `argparse.ArgumentTypeError` outside it."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")
        return value

    return read


def shares(least: float, below: float) -> Callable[[str], list[float]]:
    """A reader of one or several numbers, as in ``0,0.01``, each in ``[least, below)``."""

    def read(text: str) -> list[float]:
        values = [number(part) for part in names(text)]
        for value in values:
            if not least <= value < below:
                raise argparse.ArgumentTypeError(
                    f"expected numbers from {least:g} to below {below:g}, separated by commas, got {text!r}"
                )
        return list(dict.fromkeys(values))

    return read


def seeds(text: str) -> list[int]:
    """Read a number of seeds, ``3`` for 0, 1 and 2, or a list of them: ``4,7``, and ``7,`` for one.

    Raises:
        argparse.ArgumentTypeError: neither.
    """
    parts = [part for part in text.split(",") if part.strip()]
    if not parts or not all(part.strip().isdecimal() for part in parts) or max(map(int, parts)) >= 2**32:
        raise argparse.ArgumentTypeError(f"expected a number of seeds, as in 3, or a list, as in 4,7; got {text!r}")
    values = [int(part) for part in parts]
    if "," in text:
        return list(dict.fromkeys(values))
    if not 1 <= values[0] <= 10_000:
        raise argparse.ArgumentTypeError(f"expected from 1 to 10000 seeds, got {text!r}")
    return list(range(values[0]))
