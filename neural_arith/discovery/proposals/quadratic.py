"""A quadratic model of the likelihood around a candidate, in all terms of a dictionary and numbers within its units.

One integration of the candidate with the sensitivities of every term, and of every number within its units, gives
gradient and Gauss-Newton matrix of the misfit in all of them at once. What a change of terms would gain then costs a
small linear solve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from neural_arith.discovery.likelihood import Likelihood
from neural_arith.terms.candidate import Judged
from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.structure import Structure, Term, rewrite, tidy
from neural_arith.terms.units import FITTED, Number, Sum, Unit, numbers_of

_LARGEST = 2.5e8
"""Entries of all normal equations together, of 8 bytes each, above which there is no model."""


@dataclass(frozen=True)
class Move:
    """What changes: terms that go, terms that come, numbers that are fixed or freed; and the new values.

    ``expected`` is the score with an estimate of the price, ``misfit`` its part that the quadratic model gives.
    """

    expected: float
    misfit: float
    dropped: tuple[int, ...]
    added: tuple[int, ...]
    fixed: tuple[tuple[Number, float], ...]
    freed: tuple[Number, ...]
    shift: np.ndarray


class QuadraticModel:
    """The quadratic model around a candidate, in terms of the dictionary and numbers within units."""

    def __init__(self, likelihood: Likelihood, judged: Judged, dictionary: Dictionary) -> None:
        self.likelihood, self.judged = likelihood, judged
        current = judged.structure
        wide = Structure(tuple((*eq, *units) for eq, units in zip(current.equations, dictionary.units, strict=True)))
        self.values: dict[Term | Number, float] = {**dictionary.values, **current.values(judged.theta)}
        # Numbers that could become fitted have columns too.
        self.numbers = [*current.numbers, *(n for n in _fixed_numbers(current) if likelihood.may_free(n))]
        self.values.update(
            {n: _fixed_value(n, likelihood.problem.scale) for n in self.numbers if n not in set(current.numbers)}
        )
        self.wide = wide
        self.terms: list[Term] = wide.terms
        self.place: dict[Term | Number, int] = {term: k for k, term in enumerate(self.terms)}
        self.place.update({number: len(self.terms) + k for k, number in enumerate(self.numbers)})
        theta = wide.theta(self.values)
        states, columns = judged.starts.shape[1], len(self.terms) + len(self.numbers)
        self.good = (states + 1) * (columns + judged.starts.size) * (columns + 2 * states) < _LARGEST
        if not self.good:
            return
        model = likelihood.predict(judged, wide, theta, self.numbers)
        self.good = bool(np.isfinite(model.misfit) and np.isfinite(model.normal).all())
        if not self.good:
            return
        self.scale = np.sqrt(np.maximum(np.diag(model.normal), 1e-30))
        self.normal = model.normal / self.scale[:, None] / self.scale
        self.gradient = model.gradient / self.scale
        n = len(self.terms) + len(self.numbers)
        self.starts = list(range(n, len(model.normal)))
        self.present = [self.place[term] for term in current.terms]
        here = set(self.present)
        self.absent = np.array([k for k in range(len(self.terms)) if k not in here], dtype=int)
        self.inner = [self.place[number] for number in current.numbers]
        per, prior = likelihood.prices.per_number, likelihood.prior
        known = set(current.numbers)
        told = {total for unit in current.units for total, _ in unit.sums}
        prices = {unit: self._naming(unit, told) + per * (1 + sum(x not in known for x in numbers_of(unit)))
                  for unit in wide.units}  # fmt: skip
        again = {unit: min(prior.shared, prior.unit(unit)) + per for unit in current.units}
        owners = {unit: {i for i, other in current.terms if other == unit} for unit in current.units}
        self.price = np.array([(again if owners.get(u, {i}) != {i} else prices)[u] for i, u in self.terms])
        spare = likelihood.price(current) / max(sum(self.price[self.present]), 1e-9)
        self.price *= max(spare, 1.0) if np.isfinite(spare) else 1.0
        self.owner = np.array([i for i, _ in self.terms])

    def _naming(self, unit: Unit, told: set[Sum]) -> float:
        """Price of naming a unit where some sums are named already."""
        prior = self.likelihood.prior
        return prior.unit(unit) - sum(prior.of_sum(total) - prior.shared for total, _ in unit.sums if total in told)

    def value(self, k: int) -> float:
        """Value of a column, scaled as the model is."""
        key = self.terms[k] if k < len(self.terms) else self.numbers[k - len(self.terms)]
        return self.values.get(key, 0.0) * self.scale[k]

    def solve(
        self, kept: list[int], moved: dict[int, float], added: np.ndarray
    ) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
        """Expected gain, row by row, when some columns are moved by given amounts and the kept and added ones follow.

        Also a function from a row to the shift of its (kept, added) columns.
        """
        who = list(moved)
        delta = np.array([moved[k] for k in who])
        slope = self.gradient + (self.normal[:, who] @ delta if who else 0.0)
        gained = 0.0
        if who:
            gained = -(2 * self.gradient[who] @ delta + delta @ self.normal[who][:, who] @ delta)
        base = self.normal[np.ix_(kept, kept)] + 1e-9 * np.eye(len(kept))
        inverse = np.linalg.solve(base, slope[kept])
        gained = gained + slope[kept] @ inverse
        if added.shape[1] == 0:
            return np.array([gained]), lambda _: -inverse
        # The kept columns are eliminated once for all rows.
        new, row_of = np.unique(added, return_inverse=True)
        at = row_of.reshape(added.shape)
        both = self.normal[kept][:, new]
        cross = np.linalg.solve(base, both)
        left = self.normal[new][:, new] - cross.T @ both
        rest = (slope[new] - cross.T @ slope[kept])[at]
        block = left[at[:, :, None], at[:, None, :]] + 1e-7 * np.eye(added.shape[1])
        step = np.linalg.solve(block, -rest[..., None])[..., 0]
        gain = gained - (rest * step).sum(1)
        return gain, lambda row: np.append(-inverse - cross[:, at[row]] @ step[row], step[row])

    def moves(
        self, dropped: list[int], added: np.ndarray, most: int, fixed: tuple[tuple[Number, float, float], ...] = ()
    ) -> Iterator[Move]:
        """The best of the moves that drop some columns and add, row by row, others."""
        self.likelihood.clock.check()
        gone = {self.terms[k] for k in dropped}
        left = {n for i, unit in self.judged.structure.terms if (i, unit) not in gone for n in numbers_of(unit)}
        inner = [k for k in self.inner if self.numbers[k - len(self.terms)] in left]
        held = {self.place[number]: (target - self.values[number]) * self.scale[self.place[number]]
                for number, _, target in fixed}  # fmt: skip
        kept = [k for k in (*self.present, *inner, *self.starts) if k not in dropped and k not in held]
        moved = {**{k: -self.value(k) for k in dropped}, **held}
        gain, shift_of = self.solve(kept, moved, added)
        cost = self.likelihood.price(self.judged.structure) - sum(self.price[dropped]) if dropped else (
            self.likelihood.price(self.judged.structure))  # fmt: skip
        cost = cost - self.likelihood.prices.per_number * len(fixed)
        terms = added < len(self.terms)
        bill = np.where(
            terms, self.price[np.minimum(added, len(self.terms) - 1)], self.likelihood.prices.per_number
        ).sum(1)
        misfit = self.judged.misfit - gain
        expected = misfit + cost + bill
        for row in np.argsort(expected, kind="stable")[:most]:
            if np.isfinite(expected[row]):
                new = np.zeros(len(self.scale))
                columns = [*kept, *(int(k) for k in added[row])]
                new[columns] = shift_of(row) / self.scale[columns]
                come = tuple(int(k) for k in added[row] if k < len(self.terms))
                freed = tuple(self.numbers[k - len(self.terms)] for k in added[row] if k >= len(self.terms))
                said = tuple(f[:2] for f in fixed)
                yield Move(float(expected[row]), float(misfit[row]), tuple(dropped), come, said, freed, new)

    def build(self, move: Move) -> tuple[Structure, np.ndarray]:
        """The structure a move leads to, with its first guess."""
        values = {key: self.values[key] + move.shift[k] for key, k in self.place.items() if key in self.values}
        # A linear model of a number within a unit holds for small steps only.
        for number in self.numbers:
            old, far = self.values[number], 0.3 * abs(self.values[number]) + 0.1
            values[number] = float(np.clip(values[number], old - far, old + far))
        values = {**{k: v for k, v in self.values.items() if isinstance(k, Number)}, **values}
        turned = set()
        for number, said in move.fixed:
            # cos(a + pi) = -cos(a): a phase half a turn from the plain one turns the sign of its coefficients.
            if number.kind == "phase" and round((self.values[number] - said) / math.pi) % 2:
                turned.add(number.owner)
        members = {*self.present, *move.added} - set(move.dropped)
        equations: list[list[Unit]] = [[] for _ in self.judged.structure.equations]
        for k in members:
            i, unit = self.terms[k]
            equations[i].append(unit)
            values.setdefault((i, unit), move.shift[k])
            if unit in turned:
                values[(i, unit)] *= -1.0
        structure = Structure(tuple(tuple(eq) for eq in equations))
        if move.fixed or move.freed:
            change = {**dict(move.fixed), **dict.fromkeys(move.freed, FITTED)}
            structure, values = rewrite(structure, values, lambda number, value: change.get(number, value))
        return tidy(structure, structure.theta(values))


def _fixed_numbers(structure: Structure) -> list[Number]:
    """Fixed numbers of the present units that could be fitted: powers that are there, phases, rates beside rates."""
    found: dict[Number, None] = {}
    for unit in structure.units:
        for owner, b in ((unit, FITTED), *(item for total, _ in unit.sums for item in total.parts)):
            for kind, table in (("power", owner.powers), ("rate", owner.rates), ("frequency", owner.frequencies)):
                # A fixed coefficient is meant in the user's units, which only a fixed power tells.
                if kind == "power" and b != FITTED:
                    continue
                wanted = [v for v, x in enumerate(table) if x != FITTED and (x or kind == "rate")]
                found.update(dict.fromkeys(Number(kind, owner, v) for v in wanted))
            if owner.frequencies and owner.phase != FITTED:
                found[Number("phase", owner)] = None
        for k, (_, q) in enumerate(unit.sums):
            if q != FITTED and q != 1.0:
                found[Number("sum power", unit, k)] = None
    return list(found)


def _fixed_value(number: Number, scale: np.ndarray) -> float:
    """What a fixed number is in scaled numbers."""
    owner, v = number.owner, number.index
    if isinstance(owner, Sum):
        raise TypeError("coefficients of sums are fitted from the start")
    if number.kind == "power":
        return owner.powers[v]
    if number.kind == "sum power":
        return owner.sums[v][1]
    if number.kind == "phase":
        return owner.phase
    return float((owner.rates if number.kind == "rate" else owner.frequencies)[v] * scale[v])
