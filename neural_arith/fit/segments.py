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
    return rows[np.arange(n) * len(rows) // n]


def complete_edges(x: np.ndarray, length: int | None) -> list[int]:
    """Where stretches that share their ends begin and end: at samples that have all states, for a start must be known.

    Args:
        x: measured states, ``(samples, states)``, NaN where missing; where no sample has all, every one will do.
        length: sample intervals of a stretch, more where the next sample lacks a state; None keeps the run whole.
    """
    complete, last = [bool(row.all()) for row in np.isfinite(x)], len(x) - 1
    first = complete.index(True) if any(complete[:-1]) else 0
    never, edges = not any(complete), [first]
    for k in range(first + 1, last if length is not None else 0):
        if k - edges[-1] >= (length or 1) and (complete[k] or never):
            edges.append(k)
    return [*edges, last]
