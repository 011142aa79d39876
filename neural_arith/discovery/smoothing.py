"""Smooth curves through the measurements, judged by the noise that was estimated, never flatter than it allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline, make_smoothing_spline
from scipy.optimize import brentq

from neural_arith.data import Run
from neural_arith.discovery.noise import Noise


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


def _spline(t: np.ndarray, x: np.ndarray, sd: np.ndarray, clean: bool) -> BSpline | CubicSpline:
    """Curve through one series: interpolating when clean, else smoothing no rougher and no flatter than the noise."""
    if len(t) < 6:
        return CubicSpline(t, x) if len(t) > 3 else make_interp_spline(t, x, k=min(len(t) - 1, 1))
    if clean:
        return make_interp_spline(t, x, k=5)
    weight = 1.0 / sd**2

    def misfit(log_penalty: float) -> float:
        curve = make_smoothing_spline(t, x, w=weight, lam=10.0**log_penalty)
        return float(np.mean(((curve(t) - x) / sd) ** 2))

    # Generalised cross-validation flattens fast states (its error can exceed the noise many times over), so it is kept
    # only while its residuals look like the noise; else the penalty is set so that they do.
    generalised = make_smoothing_spline(t, x, w=weight)
    left = float(np.mean(((generalised(t) - x) / sd) ** 2))
    if left <= 1.2:
        return generalised
    mid = np.log10(np.median(np.diff(t)) ** 3 / np.median(weight) ** -1)
    low, high = mid - 12, mid + 12
    target = 0.9
    if misfit(low) > target:
        return make_interp_spline(t, x, k=3)
    if misfit(high) < target:
        return generalised
    penalty = float(brentq(lambda p: misfit(p) - target, low, high, xtol=0.05))  # pyright: ignore[reportArgumentType]
    return make_smoothing_spline(t, x, w=weight, lam=10.0**penalty)


def smooth(runs: list[Run], noise: Noise) -> list[Curve]:
    """Curves through every run.

    Args:
        runs: measurements in scaled numbers; missing values are bridged.
        noise: what :func:`estimate_noise` found.
    """
    logarithmic = noise.kind == "log"
    curves = []
    for run in runs:
        splines = []
        for i in range(run.x.shape[1]):
            seen = np.isfinite(run.x[:, i])
            t, x = run.t[seen], run.x[seen, i]
            if len(t) == 0:  # never measured in this run: as in the others, for want of better
                t, x = run.t[[0, -1]], np.full(2, np.nanmedian(np.concatenate([r.x[:, i] for r in runs])))
            elif len(t) == 1:
                t, x = run.t[[0, -1]], np.repeat(x, 2)
            sd = np.full(len(t), max(noise.level[i], 1e-6))
            if noise.kind == "proportional":
                # The size of the neighbourhood: a value that noise pushed to zero is not an exact one.
                near = np.convolve(np.abs(x), np.ones(5), "same") / np.convolve(np.ones(len(x)), np.ones(5), "same")
                sd = sd * np.maximum(near, 0.02)
            splines.append(_spline(t, np.log(x) if logarithmic else x, sd, noise.clean))
        curves.append(Curve(tuple(splines), logarithmic, run))
    return curves
