"""Smooth curves through the measurements, as smooth as the estimated noise calls for around each of them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline

from neural_arith.clock import Clock
from neural_arith.data import Run
from neural_arith.discovery.measurements.denoising import FEWEST, denoise
from neural_arith.discovery.measurements.modes import CLOSEST
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import CLEAN, Noise


def _spline(t: np.ndarray, x: np.ndarray, level: float, relative: bool, logarithmic: bool) -> BSpline | CubicSpline:
    """Curve through one series: through the measurements when they are clean or few, else with the noise taken out."""
    if level < CLEAN or len(t) < FEWEST:
        x = np.log(x) if logarithmic else x
        if len(t) >= FEWEST:
            return make_interp_spline(t, x, k=5)
        return CubicSpline(t, x) if len(t) > 3 else make_interp_spline(t, x, k=min(len(t) - 1, 1))
    values, _ = denoise(t, x, level, relative)
    values = np.log(values) if logarithmic else values
    # Values of samples that nearly coincide tell nothing about the slope between them.
    apart = CLOSEST * np.median(np.diff(t))
    kept = [0]
    for k in range(1, len(t)):
        if t[k] - t[kept[-1]] >= apart:
            kept.append(k)
    return make_interp_spline(t[kept], values[kept], k=min(3, len(kept) - 1))


def smooth(runs: list[Run], noise: Noise, clock: Clock | None = None) -> list[Curve]:
    """Curves through every run.

    Args:
        runs: measurements in scaled numbers; missing values are bridged.
        noise: what :func:`estimate_noise` found.
        clock: once it is over, curves go through the measurements; default no limit.
    """
    clock = clock or Clock()
    logarithmic = noise.kind == "log"
    curves = []
    for k, run in enumerate(runs):
        level = noise.level * noise.share(k)
        splines = []
        for i in range(run.x.shape[1]):
            seen = np.isfinite(run.x[:, i])
            t, x = run.t[seen], run.x[seen, i]
            if len(t) == 0:  # never measured in this run: as in the others, for want of better
                t, x = run.t[[0, -1]], np.full(2, np.nanmedian(np.concatenate([r.x[:, i] for r in runs])))
            elif len(t) == 1:
                t, x = run.t[[0, -1]], np.repeat(x, 2)
            smoothed = float(level[i]) if clock.in_time() else 0.0
            splines.append(_spline(t, x, smoothed, noise.kind != "additive", logarithmic))
        curves.append(Curve(tuple(splines), logarithmic, run))
    return curves
