"""Curves through measurements as functions of time, and what lies between the samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, PchipInterpolator, make_interp_spline

from neural_arith.data import Run
from neural_arith.errors import DataError


@dataclass(frozen=True)
class Curve:
    """Smoothed states of one run as functions of time.

    Attributes:
        splines: one for each state.
        logarithmic: the splines are of the logarithms.
        run: the measurements they go through.
    """

    splines: tuple[BSpline | CubicSpline, ...]
    logarithmic: bool
    run: Run

    def __call__(self, t: np.ndarray) -> np.ndarray:
        """States and inputs at times ``t``, shape ``(len(t), variables)``."""
        x = np.stack([s(t) for s in self.splines], axis=1)
        if self.logarithmic:
            x = np.exp(np.clip(x, -700, 700))
        return x if self.run.u is None else np.hstack([x, inputs_at(self.run, t)])


def inputs_at(run: Run, t: np.ndarray) -> np.ndarray:
    """Inputs of a run at times ``t``, ``(len(t), inputs)``: straight lines between the samples."""
    columns = [] if run.u is None else [np.interp(t, run.t, column) for column in run.u.T]
    return np.array(columns).T.reshape(len(t), len(columns))


def filled(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The measurements ``(time, states)`` with missing values interpolated (monotone cubic; constant outside).

    Raises:
        DataError: a state has no value at all.
    """
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


def interpolated(run: Run, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States and slopes at times ``t`` of a curve through all measurements, each ``(len(t), states)``.

    A quintic spline; a monotone cubic where that leaves the range of the data.
    """
    full = filled(run.t, run.x)
    degree = min(5, len(run.t) - 1)
    degree -= degree % 2 == 0
    spline, safe = make_interp_spline(run.t, full, k=degree), PchipInterpolator(run.t, full)
    x, slope = spline(t), spline.derivative()(t)
    out = (x < full.min(0)) | (x > full.max(0))
    return np.where(out, safe(t), x), np.where(out, safe.derivative()(t), slope)
