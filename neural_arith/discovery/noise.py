"""How noisy the measurements are, and in which way, estimated from local differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from neural_arith.data import Run
from neural_arith.errors import OptionError

NoiseKind = Literal["additive", "proportional", "log"]

CLEAN = 2e-4
"""Noise below this share of a state's size counts as none: an interpolating spline is then better than a smooth one."""


@dataclass(frozen=True)
class Noise:
    """The noise model the likelihood uses.

    Attributes:
        kind: "additive" (one level for all values of a state), "proportional" (to the value, any sign) or "log"
            (proportional, all values positive: residuals are differences of logarithms).
        level: standard deviation for each state, ``(states,)``; a share of the value unless ``kind`` is "additive".
    """

    kind: NoiseKind
    level: np.ndarray

    @property
    def clean(self) -> bool:
        """Whether no state shows any noise."""
        return bool(np.all(self.level < CLEAN))


def _differences(t: np.ndarray, x: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Contrasts of ``order + 1`` neighbours that vanish on polynomials below ``order``, and the size of the values.

    The contrasts have unit norm, so that white noise of level s gives contrasts of level s, at irregular times too.
    """
    n = len(t) - order
    window = np.arange(n)[:, None] + np.arange(order + 1)
    tw = t[window]
    gaps = tw[:, :, None] - tw[:, None, :] + np.eye(order + 1)
    weights = 1.0 / gaps.prod(axis=2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    values = x[window]
    return (weights * values).sum(1), np.sqrt(((weights * values) ** 2).sum(1))


def _level(contrast: np.ndarray) -> float:
    """Robust standard deviation: a fast stretch of the signal must not count as noise."""
    return float(np.median(np.abs(contrast)) / 0.6745)


def _surprise(contrast: np.ndarray, sd: np.ndarray) -> float:
    """Mean negative log likelihood under Student's t with four degrees of freedom, for the same reason."""
    sd = np.maximum(sd, 1e-12)
    return float(np.mean(np.log(sd) + 2.5 * np.log1p((contrast / sd) ** 2 / 4)))


def all_positive(runs: list[Run]) -> bool:
    """Whether every measured value is above zero."""
    return not any(bool((r.x <= 0).any()) for r in runs)  # a missing value compares false


def estimate_noise(runs: list[Run], kind: NoiseKind | Literal["auto"] = "auto") -> Noise:
    """Estimate kind and level of the noise.

    For each state the order of the difference (3 to 6) that leaves least is used: higher orders remove more of a fast
    signal, lower ones lose fewer points. The kind is the one under which the contrasts are most likely.

    Args:
        runs: measurements, scaled so that states have size one.
        kind: a kind to take for granted, or "auto".

    Raises:
        OptionError: unknown kind, or "log" with values that are not positive.
    """
    if kind not in (*get_args(NoiseKind), "auto"):
        raise OptionError(f"noise must be 'auto', 'additive', 'proportional' or 'log', got {kind!r}")
    n_states = runs[0].x.shape[1]
    positive = all_positive(runs)
    if kind == "log" and not positive:
        raise OptionError("noise='log' needs positive measurements, but some are zero or negative; use 'proportional'")
    additive, proportional = np.zeros(n_states), np.zeros(n_states)
    evidence = 0.0  # of the proportional model over the additive one, in log likelihood
    for i in range(n_states):
        best: tuple[float, float, float] | None = None
        for order in (3, 4, 5, 6):
            parts = []
            for r in runs:
                seen = np.isfinite(r.x[:, i])
                if seen.sum() > order + 2:
                    parts.append(_differences(r.t[seen], r.x[seen, i], order))
            if not parts:
                continue
            contrast, size = (np.concatenate(p) for p in zip(*parts, strict=True))
            relative = contrast / np.maximum(size, 1e-9)
            a, m = _level(contrast), _level(relative)
            share = len(contrast) / (order + 1)  # overlapping windows repeat each other
            gain = share * (_surprise(contrast, np.full(len(contrast), a)) - _surprise(contrast, m * size))
            if best is None or a < best[0]:
                best = (a, m, gain)
        if best is not None:
            additive[i], proportional[i] = best[0], best[1]
            evidence += best[2]
    if kind == "auto":
        kind = "additive" if evidence <= 0 or np.all(additive < CLEAN) else ("log" if positive else "proportional")
    return Noise(kind, additive if kind == "additive" else proportional)
