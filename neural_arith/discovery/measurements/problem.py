"""The measurements in the form the compiled solver reads, weighted as the noise model says."""

from __future__ import annotations

import itertools

import numpy as np

from neural_arith.data import Run
from neural_arith.fit.curves import Curve
from neural_arith.fit.noise import FLOOR, SMALLEST, Noise
from neural_arith.fit.segments import equal_parts
from neural_arith.solve.compiled.prediction import Problem


def make_problem(
    runs: list[Run], curves: list[Curve], noise: Noise, scale: np.ndarray, piece_length: int | None = None
) -> Problem:
    """The measurements in the form the compiled solver reads.

    Args:
        runs: measurements in scaled numbers.
        curves: smooth curves through them.
        noise: the noise model.
        scale: sizes of the variables, ``(variables,)``.
        piece_length: samples of a piece in multiple shooting; default single shooting.
    """
    t = np.concatenate([r.t for r in runs])
    x = np.concatenate([r.x for r in runs])
    n_states = x.shape[1]
    smooth = np.concatenate([c(r.t) for c, r in zip(curves, runs, strict=True)])
    weight = np.isfinite(x).astype(float)
    if noise.kind == "proportional":
        size = np.maximum(np.abs(smooth[:, :n_states]), SMALLEST)
        # Weights of geometric mean one keep the likelihoods of different noise models comparable.
        weight = weight * np.exp(np.mean(np.log(size), axis=0)) / size
    weight = weight / np.concatenate([np.broadcast_to(noise.share(k), r.x.shape) for k, r in enumerate(runs)])
    start, linked, offset = [], [], 0
    for r in runs:
        cuts = equal_parts(r.x, piece_length)
        start.extend(offset + cuts)
        linked.extend([False] + [True] * (len(cuts) - 1))
        offset += len(r.t)
    # Gaps weighted by the noise of clean data would hold every piece where it starts.
    level = np.maximum(noise.level, 1e-2)
    if noise.kind != "additive":
        level = level * np.array([np.nanmedian(np.abs(x[:, i])) for i in range(n_states)]).clip(1e-6)
    low = np.where(np.isfinite(x), x, 1.0)
    return Problem(
        t=t,
        x=np.where(np.isfinite(x), x, 1.0 if noise.kind == "log" else 0.0),
        weight=weight,
        inputs=smooth[:, n_states:],
        start=np.array([*start, offset]),
        linked=np.array(linked),
        link_weight=1.0 / level**2,
        floor=np.full(n_states, FLOOR),
        log_residual=noise.kind == "log",
        bound=np.full(n_states, 1e3) * np.maximum(np.abs(low).max(axis=0), 1.0),
        scale=scale,
    )


def telling_runs(problem: Problem, most: int) -> list[int]:
    """The runs in which each state and input, measured or driven, changes most, then those in which all change most.

    What only few runs can tell about a state, these tell.
    """
    ends = np.append(problem.start[:-1][~problem.linked], len(problem.t))
    columns = problem.measured
    change = np.array([_spread(columns[a:b]) for a, b in itertools.pairwise(ends)])
    share = change / np.maximum(change.max(axis=0), 1e-300)
    chosen = list(dict.fromkeys(int(k) for k in np.argmax(share, axis=0)))
    others = [int(k) for k in np.argsort(-share.sum(axis=1), kind="stable") if k not in chosen]
    return sorted([*chosen, *others[: max(0, most - len(chosen))]])


def _spread(columns: np.ndarray) -> np.ndarray:
    """Range of each column, zero where nothing was measured."""
    seen = np.isfinite(columns)
    high = np.where(seen, columns, -np.inf).max(axis=0)
    low = np.where(seen, columns, np.inf).min(axis=0)
    return np.where(seen.any(axis=0), high - low, 0.0)
