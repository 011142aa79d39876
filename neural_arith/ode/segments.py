"""Measurements cut into segments: the batch that every loss and every solver of this room works on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from neural_arith.errors import DataError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neural_arith.data import Trajectories


@dataclass(frozen=True)
class Segments:
    """Equal-shaped pieces of trajectories; shorter pieces are padded with intervals of length zero.

    Attributes:
        t: sample times, ``(lanes, points)``.
        x: measured states, ``(lanes, points, states)``; a missing or padded value is 0 with weight 0.
        weight: ``1 / sd`` of each state where a value was measured, else 0; the first point has weight 0
            because every segment starts from it. Same shape as ``x``.
        start: state at the first point, ``(lanes, states)``; interpolated only in runs where no sample has all states.
        u: inputs at the sample times, ``(lanes, points, inputs)`` (no columns without inputs).
        scale: standard deviation of each state over all data, ``(states,)``.
    """

    t: Tensor
    x: Tensor
    weight: Tensor
    start: Tensor
    u: Tensor
    scale: Tensor

    @property
    def n_residuals(self) -> int:
        """Number of measured values that are compared."""
        return int((self.weight > 0).sum())


def state_scale(data: Trajectories) -> np.ndarray:
    """Standard deviation of each state over all runs, ``(states,)``; 1 where a state does not vary."""
    sd = np.nanstd(np.concatenate([run.x for run in data]), axis=0)
    return np.where(np.isfinite(sd) & (sd > 0), sd, 1.0)


def filled(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The measurements ``(time, states)`` with missing values interpolated (monotone cubic; constant outside)."""
    if not np.isnan(x).any():
        return x
    out = x.copy()
    for j in range(x.shape[1]):
        seen = ~np.isnan(x[:, j])
        n = int(seen.sum())
        if n == 0:
            raise DataError(
                f"state number {j} has no measured value in one run, so nothing can start there; "
                "expected at least one value of every state in every run: drop the run or the state"
            )
        inside = np.clip(t, t[seen][0], t[seen][-1])
        out[:, j] = x[seen, j][0] if n == 1 else PchipInterpolator(t[seen], x[seen, j])(inside)
        out[seen, j] = x[seen, j]
    return out


def cut(data: Trajectories, length: int | None = None, *, dtype: torch.dtype = torch.float64) -> Segments:
    """Cut every run into segments of ``length`` sample intervals.

    Args:
        data: the measurements.
        length: intervals per segment, at least 1, more where the next sample lacks a state; None keeps each run
            whole. A run begins at its first sample that has all states, if there is one.
        dtype: of the tensors.

    Raises:
        OptionError: ``length`` below 1.
        DataError: a state without any value in a run.
    """
    if length is not None and length < 1:
        raise OptionError(f"a segment needs at least 1 sample interval, got length={length}")
    scale = state_scale(data)
    pieces = list(_pieces(data, length))
    longest = max(len(t) for t, *_ in pieces)
    lanes, d, q = len(pieces), len(scale), pieces[0][3].shape[1]
    t = np.empty((lanes, longest))
    x, weight = np.zeros((lanes, longest, d)), np.zeros((lanes, longest, d))
    u = np.zeros((lanes, longest, q))
    start = np.empty((lanes, d))
    for i, (ti, xi, full, ui) in enumerate(pieces):
        n = len(ti)
        seen = ~np.isnan(xi)
        seen[0] = False
        t[i, :n], t[i, n:] = ti, ti[-1]
        x[i, :n] = np.where(seen, xi, 0.0)
        weight[i, :n] = seen / scale
        u[i, :n], u[i, n:] = ui, ui[-1]
        start[i] = full[0]
    parts = (torch.as_tensor(a, dtype=dtype) for a in (t, x, weight, start, u, scale))
    return Segments(*parts)


def _pieces(data: Trajectories, length: int | None) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    for run in data:
        full = filled(run.t, run.x)
        u = np.zeros((len(run.t), 0)) if run.u is None else run.u
        edges = _edges(np.isfinite(run.x).all(axis=1), length)
        for a, b in pairwise(edges):
            piece = slice(a, b + 1)
            yield run.t[piece], run.x[piece], full[piece], u[piece]


def _edges(complete: Any, length: int | None) -> list[int]:
    """Where segments begin and end: at samples that have all states, for a start must be known."""
    last = len(complete) - 1
    first = int(complete.argmax()) if complete[:-1].any() else 0
    if length is None:
        return [first, last]
    edges = [first]
    for k in range(first + 1, last):
        if k - edges[-1] >= length and (complete[k] or not complete.any()):
            edges.append(k)
    return [*edges, last]
