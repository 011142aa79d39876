"""Which variables keep their sign, and what the measurements span."""

from __future__ import annotations

import numpy as np

from neural_arith.data.trajectories import Run
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import Noise
from neural_arith.terms.library import Ranges


def positive_variables(runs: list[Run], noise: Noise) -> np.ndarray:
    """Which variables never change sign beyond what the noise explains, ``(variables,)``."""
    n_states = runs[0].x.shape[1]
    level = noise.level if noise.kind == "additive" else np.zeros(n_states)
    highest = np.nanmin(np.concatenate([r.x + 4 * level * noise.share(k) for k, r in enumerate(runs)]), axis=0)
    states = [bool(high >= 0) for high in highest]
    if runs[0].u is None:
        return np.array(states)
    inputs = np.concatenate([r.u for r in runs if r.u is not None])
    return np.array([*states, *(inputs.min(axis=0) >= 0)])


def ranges_of(curves: list[Curve], positive: np.ndarray, scale: np.ndarray) -> Ranges:
    """What the smooth curves span."""
    values = [curve(curve.run.t) for curve in curves]
    together = np.concatenate(values)
    steps = np.concatenate([np.abs(np.diff(v, axis=0)) for v in values])
    step = np.quantile(steps, 0.9, axis=0) if len(steps) else np.zeros(together.shape[1])
    nothing = np.any([_is_nothing(curve.run) for curve in curves], axis=0)
    return Ranges(together.min(axis=0), together.max(axis=0), step, positive, scale, nothing)


def _is_nothing(run: Run) -> np.ndarray:
    """Which variables are exactly zero somewhere in a run."""
    return np.any((run.x if run.u is None else np.hstack([run.x, run.u])) == 0, axis=0)
