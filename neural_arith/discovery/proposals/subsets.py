"""Best subsets of a dictionary for one equation in the integral form: exact for small sizes, a beam above."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from neural_arith.clock import Clock

_AT_ONCE = 10_000
"""Subsets that are measured without asking the clock."""


@dataclass(frozen=True)
class Subset:
    """One choice of columns.

    Attributes:
        members: indices of the columns.
        coefficients: their least-squares coefficients.
        misfit: n * log(rss / n + floor^2).
        score: misfit plus price.
    """

    members: tuple[int, ...]
    coefficients: np.ndarray
    misfit: float
    score: float


def best_subsets(
    columns: np.ndarray,
    target: np.ndarray,
    prices: np.ndarray,
    *,
    per_coefficient: float,
    floor: float,
    n_samples: int,
    largest: int = 6,
    keep: int = 60,
    beam: int = 150,
    exhaustive: int = 60_000,
    forced: int | None = None,
    clock: Clock | None = None,
) -> list[Subset]:
    """Score subsets of columns, best first.

    Args:
        columns: ``(candidates, samples)``.
        target: ``(samples,)``.
        prices: price of each column besides its coefficient, in units of 2 log likelihood.
        per_coefficient: units of 2 log likelihood one coefficient costs.
        floor: noise level below which differences do not count.
        n_samples: measured values behind the target.
        largest: most columns in a subset.
        keep: how many subsets to return; the best few of every size are among them.
        beam: subsets of one size that are extended to the next when there are too many for all.
        exhaustive: most subsets of one size that are all tried.
        forced: a column that every subset holds.
        clock: asked every few thousand subsets; default no limit.

    Raises:
        OutOfTimeError: time was over before the end.
    """
    clock = clock or Clock()
    size = np.linalg.norm(columns, axis=1)
    usable = np.flatnonzero(np.isfinite(size) & (size > 1e-12))
    scaled = columns[usable] / size[usable, None]
    gram = scaled @ scaled.T
    right = scaled @ target
    total = float(target @ target)
    cost = prices[usable] + per_coefficient
    found: list[tuple[float, float, np.ndarray, np.ndarray]] = []
    previous = np.zeros((1, 0), dtype=int)
    m = len(usable)

    def measure(sets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        k = sets.shape[1]
        a = gram[sets[:, :, None], sets[:, None, :]] + 1e-10 * np.eye(k)
        b = right[sets]
        c = np.linalg.solve(a, b[..., None])[..., 0]
        rss = np.maximum(
            total - 2 * (b * c).sum(1) + np.einsum("ni,nij,nj->n", c, gram[sets[:, :, None], sets[:, None, :]], c),
            0,
        )
        misfit = n_samples * np.log(rss / n_samples + floor**2)
        return misfit, misfit + cost[sets].sum(1) * n_samples / max(n_samples - k - 2, 1), c

    empty = n_samples * np.log(total / n_samples + floor**2)
    if forced is None:
        found.append((empty, empty, np.zeros(0, dtype=int), np.zeros(0)))
    count = 1.0
    for k in range(1, min(largest, m) + 1):
        count = count * (m - k + 1) / k
        if count <= exhaustive:
            sets = np.array(list(itertools.combinations(range(m), k)), dtype=int)
            if forced is not None:
                sets = sets[(usable[sets] == forced).any(1)]
                if not len(sets):
                    return []
        else:
            sets = np.concatenate([np.column_stack([previous, np.full(len(previous), j)]) for j in range(m)])
            sets = np.sort(sets, axis=1)
            sets = _distinct(sets[(np.diff(sets, axis=1) > 0).all(1)])
        parts = []
        for first in range(0, len(sets), _AT_ONCE if clock.limited else max(len(sets), 1)):
            clock.check()
            parts.append(measure(sets[first : first + _AT_ONCE] if clock.limited else sets))
        misfit, score, c = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(score, kind="stable")[: max(beam, keep)]
        found.extend((float(misfit[o]), float(score[o]), sets[o], c[o]) for o in order)
        previous = sets[order[:beam]]
    ranked = sorted(found, key=lambda f: f[1])
    chosen = ranked[:keep]
    for k in range(1, largest + 1):
        mine = [f for f in ranked if len(f[2]) == k][:4]
        chosen.extend(f for f in mine if not any(f is c for c in chosen))
    return [
        Subset(tuple(int(j) for j in usable[s]), c / size[usable[s]], float(mf), float(sc)) for mf, sc, s, c in chosen
    ]


def _distinct(rows: np.ndarray) -> np.ndarray:
    """The distinct rows in order, as ``np.unique`` finds them, in a fifth of its time."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    return ordered[np.append(True, (np.diff(ordered, axis=0) != 0).any(1))[: len(ordered)]]
