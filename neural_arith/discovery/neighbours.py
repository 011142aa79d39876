"""Neighbours of a candidate, ranked by a quadratic model of the likelihood before any of them is integrated.

One integration of the candidate with the sensitivities of every term of the dictionary gives gradient and Gauss-Newton
matrix of the misfit in all of them at once. Dropping a term, adding one, exchanging one, or exchanging a unit wherever
it stands then costs a small linear solve each; only the most promising ones are refined through the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.discovery.judge import Judge, Judged
from neural_arith.integrate.structure import Structure, Unit


@dataclass(frozen=True)
class Proposal:
    """A neighbour with a first guess of its coefficients and the score the quadratic model expects."""

    structure: Structure
    coefficients: np.ndarray
    expected: float


def propose(judge: Judge, judged: Judged, dictionary: Sequence[Sequence[Unit]]) -> list[Proposal]:
    """Neighbours of a candidate, most promising first.

    Args:
        judge: knows the measurements.
        judged: the candidate.
        dictionary: units allowed in each equation.
    """
    current = judged.structure
    wide = Structure(tuple((*eq, *units) for eq, units in zip(current.equations, dictionary, strict=True)))
    terms = wide.terms
    place = {term: k for k, term in enumerate(terms)}
    theta = np.zeros(len(terms))
    for term, value in zip(current.terms, judged.coefficients, strict=True):
        theta[place[term]] = value
    model = judge.predict(judged, wide, theta)
    if not np.isfinite(model.misfit):
        return []
    n_theta = len(terms)
    starts = list(range(n_theta, len(model.normal)))
    present = [place[term] for term in current.terms]
    absent = [k for k in range(n_theta) if k not in set(present)]
    scale = np.sqrt(np.maximum(np.diag(model.normal), 1e-30))
    normal = model.normal / scale[:, None] / scale
    gradient = model.gradient / scale
    value = theta * scale[:n_theta]
    found: list[Proposal] = []

    def offer(added: np.ndarray, gain: np.ndarray, solution: np.ndarray, kept: list[int]) -> None:
        """Turn rows of (added terms, expected gain, coefficients) into proposals."""
        for row in range(len(gain)):
            if not np.isfinite(gain[row]):
                continue
            members = {k: theta[k] + solution[row, c] / scale[k] for c, k in enumerate(kept) if k < n_theta}
            for c, k in enumerate(added[row]):
                members[int(k)] = solution[row, len(kept) + c] / scale[k]
            equations: list[list[Unit]] = [[] for _ in current.equations]
            for k in members:
                equations[terms[k][0]].append(terms[k][1])
            structure = Structure(tuple(tuple(eq) for eq in equations))
            guess = np.array([members[place[term]] for term in structure.terms])
            price = judge.price(structure)
            found.append(Proposal(structure, guess, judged.misfit - gain[row] + price))

    def explore(dropped: list[int], added: np.ndarray) -> None:
        """Expected misfit when some terms go and, row by row, others come."""
        kept = [k for k in (*present, *starts) if k not in dropped]
        shift = -normal[:, dropped] @ value[dropped] if dropped else np.zeros(len(normal))
        slope = gradient + shift
        fixed = 0.0
        if dropped:
            fixed = (
                -2 * gradient[dropped] @ value[dropped] + value[dropped] @ normal[dropped][:, dropped] @ value[dropped]
            )
        base = normal[kept][:, kept] + 1e-9 * np.eye(len(kept))
        inverse_slope = np.linalg.solve(base, slope[kept])
        base_gain = slope[kept] @ inverse_slope - fixed
        if added.shape[1] == 0:
            offer(added, np.array([base_gain]), -inverse_slope[None], kept)
            return
        cross = np.linalg.solve(base, normal[kept][:, added.ravel()]).T.reshape(*added.shape, len(kept))
        block = normal[added[:, :, None], added[:, None, :]] - np.einsum(
            "rak,rkb->rab", cross, normal[np.array(kept)[None, :, None], added[:, None, :]]
        )
        block = block + 1e-7 * np.eye(added.shape[1])
        rest = slope[added] - cross @ slope[kept]
        step = np.linalg.solve(block, -rest[..., None])[..., 0]
        gain = base_gain - (rest * step).sum(1)
        moved = -inverse_slope[None] - np.einsum("rak,ra->rk", cross, step)
        offer(added, gain, np.concatenate([moved, step], axis=1), kept)

    none = np.zeros((1, 0), dtype=int)
    single = np.array(absent, dtype=int)[:, None]
    if len(single):
        explore([], single)
    for k in present:
        explore([k], none)
        mine = np.array([j for j in absent if terms[j][0] == terms[k][0]], dtype=int)[:, None]
        if len(mine):
            explore([k], mine)
    for unit in current.units:
        dropped = [k for k in present if terms[k][1] == unit]
        where = [terms[k][0] for k in dropped]
        if len(where) < 2:
            continue
        others = sorted({terms[j][1] for j in absent})
        rows = [[place.get((i, u), -1) for i in where] for u in others]
        rows = [row for row in rows if min(row) >= 0 and not set(row) & set(present)]
        if rows:
            explore(dropped, np.array(rows, dtype=int))
    return sorted(found, key=lambda p: p.expected)
