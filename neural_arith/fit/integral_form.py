"""The integral form: raw measurements against integrals of candidate columns, no derivative of noisy data anywhere.

x(t_k) = x(t_0) + sum_h c_h * int_{t_0}^{t_k} phi_h(x(s)) ds

The integrals run over curves through the measurements by Gauss-Legendre points within each sample interval. Here the
starting value is fitted along, so the residuals are those of the raw samples; long runs may be cut into windows, each
with a starting value of its own, so that errors of the curve do not add up along the run. The neural ODE route takes
the increment over each interval by itself (:mod:`neural_arith.ode.matching`), by the same points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import Noise
from neural_arith.fit.segments import equal_parts

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(4)

POINTS = len(_POINTS)
"""Quadrature points of an interval."""


def quadrature(t: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the integrals over the intervals that end at some of the samples.

    Args:
        t: sample times.
        ends: which samples, none of them the first.

    Returns:
        Times and weights, each ``(intervals, POINTS)``.
    """
    half = (t[ends] - t[ends - 1])[:, None] / 2
    return t[ends - 1][:, None] + half * (1 + _POINTS), half * _WEIGHTS


@dataclass(frozen=True)
class IntegralForm:
    """Everything that turns columns of unit values into columns of a linear regression on raw data.

    Attributes:
        nodes: states and inputs at the quadrature points, ``(intervals * 4, variables)``.
        step: quadrature weight of each point, ``(intervals * 4,)``.
        window: window of each sample, ``(samples,)``; the windows cover all runs in a row.
        first: whether a sample opens its window (no interval leads to it), ``(samples,)``.
        weight: one over the noise of each sample, 0 where missing, ``(states, samples)``.
        target: weighted measurements with the starting values projected out, ``(states, samples)``.
    """

    nodes: np.ndarray
    step: np.ndarray
    window: np.ndarray
    first: np.ndarray
    weight: np.ndarray
    target: np.ndarray

    def columns(self, values: np.ndarray, state: int) -> np.ndarray:
        """Regression columns of unit values in the equation of one state.

        Args:
            values: unit values at ``nodes``, ``(..., intervals * 4)``.
            state: whose equation.

        Returns:
            Shape ``(..., samples)``: running integrals, weighted, starting values projected out.
        """
        pieces = (values * self.step).reshape(*values.shape[:-1], -1, POINTS).sum(-1)
        rise = np.zeros((*values.shape[:-1], len(self.first)))
        rise[..., ~self.first] = pieces
        return _project(np.cumsum(rise, axis=-1), self.weight[state], self.window)


def _project(running: np.ndarray, weight: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Remove the best constant of each window and weight what is left."""
    n = int(window[-1]) + 1
    square = weight**2
    bounds = np.searchsorted(window, np.arange(n))
    total = np.add.reduceat(square, bounds)
    mean = np.add.reduceat(running * square, bounds, axis=-1) / np.maximum(total, 1e-300)
    return (running - mean[..., window]) * weight


def integral_form(curves: list[Curve], noise: Noise, window_length: int | None = None) -> IntegralForm:
    """Set the regression up.

    Args:
        curves: smoothed runs.
        noise: its kind, and how it differs between runs, set the weights of the samples.
        window_length: samples of a window; default the whole run.
    """
    nodes, step, window, first, weight, raw = [], [], [], [], [], []
    count = 0
    for k, curve in enumerate(curves):
        t, x = curve.run.t, curve.run.x
        opens = np.zeros(len(t), dtype=bool)
        opens[equal_parts(x, window_length)] = True
        # Within one run the intervals between windows are simply not used.
        at, weights = quadrature(t, np.flatnonzero(~opens))
        nodes.append(curve(at.ravel()))
        step.append(weights.ravel())
        window.append(np.cumsum(opens) - 1 + count)
        first.append(opens)
        count += int(opens.sum())
        if noise.kind == "additive":
            scale = np.ones_like(x) / noise.share(k)
        else:
            scale = 1.0 / np.maximum(np.abs(curve(t)[:, : x.shape[1]]), 0.02)
        seen = np.isfinite(x)
        weight.append(np.where(seen, scale, 0.0))
        raw.append(np.where(seen, x, 0.0))
    w = np.concatenate(weight).T.copy()
    place = np.concatenate(window)
    target = np.stack([_project(x_i, w_i, place) for x_i, w_i in zip(np.concatenate(raw).T, w, strict=True)])
    return IntegralForm(np.concatenate(nodes), np.concatenate(step), place, np.concatenate(first), w, target)


def some_windows(form: IntegralForm, most: int) -> IntegralForm:
    """The form with evenly spread windows only, of about ``most`` samples together."""
    n_windows = int(form.window[-1]) + 1
    kept = np.unique(np.linspace(0, n_windows - 1, max(1, n_windows * most // len(form.window))).round().astype(int))
    if len(form.window) <= most or len(kept) == n_windows:
        return form
    samples = np.isin(form.window, kept)
    nodes = np.repeat(samples[~form.first], POINTS)
    window = np.searchsorted(kept, form.window[samples])
    return IntegralForm(
        form.nodes[nodes], form.step[nodes], window, form.first[samples], form.weight[:, samples].copy(),
        form.target[:, samples].copy(),
    )  # fmt: skip
