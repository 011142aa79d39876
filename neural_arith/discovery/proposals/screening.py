"""Products of powers where there are many variables: of thousands those that go best with the measurements."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from neural_arith.clock import Clock
from neural_arith.fit.integral_form import IntegralForm
from neural_arith.terms.units import Unit, power

MANY = 12
"""Variables from which on not every product of two is tried in every equation."""

PAIRS = 60
"""Variables up to which every product of two is looked at; of more only squares and those with the equation's state."""

_EACH, _TOGETHER = (8, 24), 1200
"""Products chosen one after the other for one equation under one form, fewest and most, and for all equations."""

_SPANNED = 1e-6
"""Share of a column that has to be left beside those chosen before it."""


def fitting_products(forms: Sequence[IntegralForm], clock: Clock) -> list[list[Unit]]:
    """For each equation constant, own state, and the products of two that go best with it, best first.

    They are chosen one after the other, each beside those before it (orthogonal least squares: Chen, Billings & Luo,
    1989), under each integral form.

    Args:
        forms: the regression problem over whole runs, over windows.
        clock: asked before each equation.

    Raises:
        OutOfTimeError: time was over before the end.
    """
    n_states, n_variables = len(forms[0].target), forms[0].nodes.shape[1]
    most = int(np.clip(_TOGETHER // n_states, *_EACH))
    found: list[dict[Unit, int]] = []
    for i in range(n_states):
        axes = np.eye(n_variables)
        found.append({power(*axes[i]): 0, power(*np.zeros(n_variables)): 0})
    for form in forms:
        common = _products(n_variables)
        values = _values(form.nodes, common)
        weight, columns = None, np.zeros(0)
        for i in range(n_states):
            clock.check()
            if weight is None or not np.array_equal(weight, form.weight[i]):
                weight, columns = form.weight[i], form.columns(values, i)
            own = [] if n_variables <= PAIRS else [(i, v) for v in range(n_variables) if v != i]
            wide = np.concatenate([columns, form.columns(_values(form.nodes, own), i)]) if own else columns
            every = [*common, *own]
            for rank, j in enumerate(_one_after_the_other(wide, form.target[i], most), 1):
                powers = np.bincount(every[j], minlength=n_variables)
                unit = power(*powers)
                found[i][unit] = min(rank, found[i].get(unit, rank))
    return [sorted(ranks, key=lambda unit: ranks[unit]) for ranks in found]


def _products(n_variables: int) -> list[tuple[int, ...]]:
    """The variables of each product that is looked at in every equation."""
    if n_variables <= PAIRS:
        return [c for k in range(3) for c in itertools.combinations_with_replacement(range(n_variables), k)]
    return [(), *((v,) for v in range(n_variables)), *((v, v) for v in range(n_variables))]


def _values(nodes: np.ndarray, products: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Values of products at the nodes, ``(products, nodes)``."""
    return np.array([nodes[:, list(factors)].prod(axis=1) for factors in products]).reshape(len(products), len(nodes))


def _one_after_the_other(columns: np.ndarray, target: np.ndarray, most: int) -> list[int]:
    """Columns each of which leaves least of the target beside those before it."""
    size = np.linalg.norm(columns, axis=1)
    good = np.isfinite(size) & (size > 1e-12)
    left = np.where(good[:, None], columns, 0.0) / np.where(good, size, 1.0)[:, None]
    rest, chosen = target.copy(), []
    for _ in range(most):
        square = (left**2).sum(axis=1)
        gain = np.where(square > _SPANNED, (left @ rest) ** 2 / np.maximum(square, _SPANNED), -1.0)
        j = int(np.argmax(gain))
        if gain[j] < 0:
            break
        chosen.append(j)
        along = left[j] / np.sqrt(square[j])
        rest -= (along @ rest) * along
        left -= np.outer(left @ along, along)
    return chosen


def untried(n_variables: int) -> tuple[str, ...]:
    """What the user should know was not tried because there are many variables."""
    if n_variables <= MANY:
        return ()
    which = "products of two" if n_variables <= PAIRS else "squares, and products of two with the equation's own state,"
    return (
        f"There are {n_variables} variables, too many to try everything: of their {which} only those that go best with "
        "the measurements were tried in each equation, and no roots, ratios, waves or fractions. Where fewer variables "
        "can matter, search those alone.",
    )
