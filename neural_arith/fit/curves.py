"""Smooth curves through measurements as functions of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline, CubicSpline

from neural_arith.data import Run


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
        if self.run.u is None:
            return x
        u = [np.interp(t, self.run.t, self.run.u[:, m]) for m in range(self.run.u.shape[1])]
        return np.column_stack([x, *u])
