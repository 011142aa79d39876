"""Runs cut into stretches: the windows of the integral form, the pieces of multiple shooting, the segments of training.

Integrated from a start of its own, a short stretch cannot go far astray.
"""

from __future__ import annotations

import numpy as np


def equal_parts(x: np.ndarray, length: int | None) -> np.ndarray:
    """Where to cut a run into parts of about ``length`` measured samples, none of them shorter: the first row of each.

    Args:
        x: measured states, ``(rows, states)``, NaN where missing; rows at which only inputs are known make no part
            longer.
        length: measured samples; None for the whole run.
    """
    rows = np.append(0, np.flatnonzero(np.isfinite(x).any(axis=1))[1:])
    n = 1 if length is None else max(1, len(rows) // length)
    return rows[-(-np.arange(n) * len(rows) // n)]  # rounded up


def edges(may_begin: np.ndarray, length: int, first: int = 0) -> list[int]:
    """Where stretches that share their ends begin and end.

    Args:
        may_begin: at which samples one may begin, ``(samples,)``: those whose state is known.
        length: sample intervals of a stretch, more where the next sample may not begin one.
        first: where the first one begins.
    """
    found, last = [first], len(may_begin) - 1
    for k in range(first + 1, last):
        if may_begin[k] and k - found[-1] >= length:
            found.append(k)
    return [*found, last]
