"""Measurements cut into segments: the batch that every loss and every solver of this room works on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from neural_arith.errors import OptionError
from neural_arith.fit.curves import filled
from neural_arith.fit.segments import complete_edges

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
        for a, b in pairwise(complete_edges(run.x, length)):
            piece = slice(a, b + 1)
            yield run.t[piece], run.x[piece], full[piece], u[piece]
