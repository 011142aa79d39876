"""Neighbours of a candidate, ranked by a quadratic model of the likelihood before any of them is integrated.

One integration of the candidate with the sensitivities of every term of the dictionary, and of every number within its
units, gives gradient and Gauss-Newton matrix of the misfit in all of them at once. Dropping a term, adding one,
exchanging one, exchanging a unit wherever it stands, fixing a fitted number or freeing a fixed one then costs a small
linear solve each; only the most promising ones are refined through the solver.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from neural_arith.discovery.dictionary import Dictionary, snap, unit_price
from neural_arith.discovery.judge import Judge, Judged
from neural_arith.integrate.structure import Structure, Term, form_of, rewrite, tidy
from neural_arith.integrate.units import FITTED, Number, Sum, Unit, numbers_of, one_plus, power


@dataclass(frozen=True)
class Proposal:
    """A neighbour with a first guess of its values and the score the quadratic model expects."""

    structure: Structure
    theta: np.ndarray
    expected: float


@dataclass(frozen=True)
class _Move:
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


class _Model:
    """The quadratic model around a candidate, in terms of the dictionary and numbers within units."""

    def __init__(self, judge: Judge, judged: Judged, dictionary: Dictionary) -> None:
        self.judge, self.judged = judge, judged
        current = judged.structure
        wide = Structure(tuple((*eq, *units) for eq, units in zip(current.equations, dictionary.units, strict=True)))
        self.values: dict[Term | Number, float] = {**dictionary.values, **current.values(judged.theta)}
        # Numbers that could become fitted have columns too.
        self.numbers = [*current.numbers, *(n for n in _fixed_numbers(current) if judge.may_free(n))]
        self.values.update(
            {n: _fixed_value(n, judge.problem.scale) for n in self.numbers if n not in set(current.numbers)}
        )
        self.wide = wide
        self.terms: list[Term] = wide.terms
        self.place: dict[Term | Number, int] = {term: k for k, term in enumerate(self.terms)}
        self.place.update({number: len(self.terms) + k for k, number in enumerate(self.numbers)})
        theta = wide.theta(self.values)
        model = judge.predict(judged, wide, theta, self.numbers)
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
        per = judge.per_number
        known = set(current.numbers)
        prices = {u: unit_price(u) + per * (1 + sum(x not in known for x in numbers_of(u))) for u in wide.units}
        self.price = np.array([prices[unit] for _, unit in self.terms])
        spare = judge.price(current) / max(sum(self.price[self.present]), 1e-9)
        self.price *= max(spare, 1.0) if np.isfinite(spare) else 1.0
        self.owner = np.array([i for i, _ in self.terms])

    def value(self, k: int) -> float:
        """Value of a column, scaled as the model is."""
        key = self.terms[k] if k < len(self.terms) else self.numbers[k - len(self.terms)]
        return self.values.get(key, 0.0) * self.scale[k]

    def solve(self, kept: list[int], moved: dict[int, float], added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected gain and shift of (kept, added) columns when others are moved by given amounts, row by row."""
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
            return np.array([gained]), -inverse[None]
        cross = np.linalg.solve(base, self.normal[kept][:, added.ravel()]).T.reshape(*added.shape, len(kept))
        block = self.normal[added[:, :, None], added[:, None, :]] - np.einsum(
            "rak,rkb->rab", cross, self.normal[np.array(kept)[None, :, None], added[:, None, :]]
        )
        block = block + 1e-7 * np.eye(added.shape[1])
        rest = slope[added] - cross @ slope[kept]
        step = np.linalg.solve(block, -rest[..., None])[..., 0]
        gain = gained - (rest * step).sum(1)
        moved_kept = -inverse[None] - np.einsum("rak,ra->rk", cross, step)
        return gain, np.concatenate([moved_kept, step], axis=1)

    def moves(
        self, dropped: list[int], added: np.ndarray, most: int, fixed: tuple[tuple[Number, float, float], ...] = ()
    ) -> Iterator[_Move]:
        """The best of the moves that drop some columns and add, row by row, others."""
        gone = {self.terms[k] for k in dropped}
        left = {n for i, unit in self.judged.structure.terms if (i, unit) not in gone for n in numbers_of(unit)}
        inner = [k for k in self.inner if self.numbers[k - len(self.terms)] in left]
        held = {self.place[number]: (target - self.values[number]) * self.scale[self.place[number]]
                for number, _, target in fixed}  # fmt: skip
        kept = [k for k in (*self.present, *inner, *self.starts) if k not in dropped and k not in held]
        moved = {**{k: -self.value(k) for k in dropped}, **held}
        gain, shift = self.solve(kept, moved, added)
        cost = self.judge.price(self.judged.structure) - sum(self.price[dropped]) if dropped else (
            self.judge.price(self.judged.structure))  # fmt: skip
        cost = cost - self.judge.per_number * len(fixed)
        terms = added < len(self.terms)
        bill = np.where(terms, self.price[np.minimum(added, len(self.terms) - 1)], self.judge.per_number).sum(1)
        misfit = self.judged.misfit - gain
        expected = misfit + cost + bill
        for row in np.argsort(expected, kind="stable")[:most]:
            if np.isfinite(expected[row]):
                new = np.zeros(len(self.scale))
                columns = [*kept, *(int(k) for k in added[row])]
                new[columns] = shift[row] / self.scale[columns]
                come = tuple(int(k) for k in added[row] if k < len(self.terms))
                freed = tuple(self.numbers[k - len(self.terms)] for k in added[row] if k >= len(self.terms))
                said = tuple(f[:2] for f in fixed)
                yield _Move(float(expected[row]), float(misfit[row]), tuple(dropped), come, said, freed, new)

    def build(self, move: _Move) -> tuple[Structure, np.ndarray]:
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


def fixed_choices(number: Number, value: float, scale: np.ndarray) -> list[tuple[float, float]]:
    """Plain values a fitted number may stand for: what the unit then says, and the value in scaled numbers."""
    if number.kind in ("power", "sum power"):
        return [(e, e) for e in snap(value)[:2]]
    if number.kind in ("rate", "frequency"):
        size = scale[number.index]
        nearest = round(value / size)
        near = nearest and abs(nearest) <= 2 and abs(value / size - nearest) < 0.2 * abs(nearest)
        return [(float(nearest), nearest * size)] if near else []
    if number.kind == "phase":
        turns = math.floor(value / math.pi + 0.75) * math.pi
        inside = value - turns
        return [(target, target + turns) for target in (0.0, -math.pi / 2) if abs(inside - target) < 0.5]
    if isinstance(number.owner, Sum):
        parts = number.owner.parts
        sizes = [float(np.prod(scale ** np.array(part.powers))) if part.plain and FITTED not in part.powers else 0.0
                 for part in (parts[0][0], parts[number.index][0])]  # fmt: skip
        if not sizes[0] or not sizes[1]:
            return []
        one = sizes[1] / sizes[0]
        return [(s, s * one) for s in (1.0, -1.0) if abs(value / one - s) < 0.3]
    return []


def propose(judge: Judge, judged: Judged, dictionary: Dictionary, most: int = 200) -> list[Proposal]:
    """Neighbours of a candidate, most promising first, each structure once.

    Args:
        judge: knows the measurements.
        judged: the candidate.
        dictionary: units allowed in each equation.
        most: how many promising moves are spelt out.
    """
    model = _Model(judge, judged, dictionary)
    if not model.good:
        return []
    none = np.zeros((1, 0), dtype=int)
    moves: list[_Move] = []
    if len(model.absent):
        moves.extend(model.moves([], model.absent[:, None], most))
    freeable = np.array([model.place[n] for n in model.numbers if n not in set(judged.structure.numbers)], dtype=int)
    if len(freeable):
        moves.extend(model.moves([], freeable[:, None], most))
    for number in judged.structure.numbers:
        for said, target in fixed_choices(number, model.values[number], judge.problem.scale):
            moves.extend(model.moves([], none, 1, ((number, said, target),)))
    for k in model.present:
        moves.extend(model.moves([k], none, 1))
        mine = model.absent[model.owner[model.absent] == model.terms[k][0]]
        if len(mine):
            moves.extend(model.moves([k], mine[:, None], most))
    moves.extend(_drop_one_by_one(model))
    for k, j in itertools.combinations(model.present, 2):
        # c - c / (1 + s) is c * s / (1 + s): two terms make place for one.
        mine = model.absent[model.owner[model.absent] == model.terms[k][0]]
        if model.terms[k][0] == model.terms[j][0] and len(mine):
            moves.extend(model.moves([k, j], mine[:, None], 5))
    for unit in judged.structure.units:
        dropped = [k for k in model.present if model.terms[k][1] == unit]
        where = [model.terms[k][0] for k in dropped]
        if len(where) < 2:
            continue
        here = set(model.present)
        others = dict.fromkeys(model.terms[j][1] for j in model.absent)
        rows = [[model.place.get((i, u), -1) for i in where] for u in others]
        rows = [row for row in rows if min(row) >= 0 and not set(row) & here]
        if rows:
            moves.extend(model.moves(dropped, np.array(rows, dtype=int), most))
    moves.sort(key=lambda m: m.expected)
    found: dict[Structure, list[Proposal]] = {}
    for move in moves[:most]:
        structure, theta = model.build(move)
        alike = found.setdefault(structure, [])
        if len(alike) < (2 if structure.numbers else 1):
            alike.append(Proposal(structure, theta, move.misfit + judge.price(structure)))
    return sorted((p for alike in found.values() for p in alike), key=lambda p: p.expected)


def _drop_one_by_one(model: _Model) -> Iterator[_Move]:
    """Moves that drop two terms, three, and so on, at each step the one that is missed least."""
    none = np.zeros((1, 0), dtype=int)
    dropped: list[int] = []
    left = list(model.present)
    while len(left) > 1:
        found = [(move, k) for k in left for move in model.moves([*dropped, k], none, 1)]
        if not found:
            return
        best, gone = min(found, key=lambda item: item[0].expected)
        dropped.append(gone)
        left.remove(gone)
        if len(dropped) > 1:
            yield best


def other_sums(judged: Judged, n_variables: int) -> list[tuple[Structure, np.ndarray]]:
    """Candidates with one part more or less in a sum, or with two sums of one form made one."""
    axes = [power(*(float(v == w) for w in range(n_variables))) for v in range(n_variables)]
    one = power(*[0.0] * n_variables)
    values = judged.structure.values(judged.theta)
    totals = list(dict.fromkeys(total for unit in judged.structure.units for total, _ in unit.sums))
    changes: list[tuple[Sum, Sum]] = []
    for total in totals:
        plain = all(part.plain and not part.n_fitted for part, _ in total.parts)
        if plain and total.parts[0][0] == one and len(total.parts) == 2:
            here = [part for part, _ in total.parts]
            changes.extend(
                (total, one_plus(here[1], part, copy=total.copy))
                for part in (*axes, *(a.times(a) for a in axes))
                if part not in here
            )
        if len(total.parts) > 2:
            changes.extend(
                (total, Sum(tuple(p for k, p in enumerate(total.parts) if k != m), total.copy))
                for m in range(1, len(total.parts))
            )
        changes.extend((total, twin) for twin in totals if twin < total and form_of(twin) == form_of(total))
    found = []
    for old, new in changes:
        structure, theta = _exchange(judged.structure, values, old, new)
        if structure.n_fitted:
            found.append((structure, theta))
    return found


def other_fractions(judged: Judged) -> list[tuple[Structure, np.ndarray]]:
    """Candidates with a fraction written otherwise: without its bar, or two terms made one.

    With S = 1 + b p, c u + d u / S is c b u p / S where d = -c, and d u p / S + c u is c u / S where d = -b c. On clean
    measurements a quadratic model is too coarse to see that.
    """
    values = judged.structure.values(judged.theta)
    found: list[tuple[Structure, np.ndarray]] = []

    def offer(
        changed: dict[Term, tuple[Term, float] | None], numbers: Mapping[Number, float] = MappingProxyType({})
    ) -> None:
        new = {k: v for k, v in values.items() if k not in changed} | dict(numbers)
        equations = [[u for u in eq if (i, u) not in changed] for i, eq in enumerate(judged.structure.equations)]
        for term, c in filter(None, changed.values()):
            new[term] = new.get(term, 0.0) + c
            equations[term[0]].append(term[1])
        structure = Structure(tuple(tuple(eq) for eq in equations))
        if all(number in new for number in structure.numbers):
            found.append((structure, structure.theta(new)))

    for i, unit in judged.structure.terms:
        d = values[(i, unit)]
        for total, q in unit.sums:
            bare = replace(unit, sums=tuple(s for s in unit.sums if s != (total, q)), copy=0)
            offer({(i, unit): ((i, bare), d)})
            if len(total.parts) != 2 or q != -1.0 or not total.parts[1][0].plain or unit.n_fitted:
                continue
            part, b = total.parts[1]
            known = b != FITTED
            b = values[Number("coefficient", total, 1)] if b == FITTED else b
            used = sum(total == other for term in judged.structure.terms for other, _ in term[1].sums)
            if part.n_fitted and (i, bare) in values and b and not known and used == 1:
                # 1 - 1 / (1 + b x^p) = 1 / (1 + x^-p / b): the same form with other numbers.
                turned = {n: -values[n] for n in numbers_of(part) if n.kind == "power"}
                offer({(i, bare): None, (i, unit): ((i, unit), -d)}, {Number("coefficient", total, 1): 1 / b, **turned})
            if part.n_fitted or any(total.parts[0][0].powers) or not b:
                continue
            if (i, bare) in values:
                offer({(i, unit): ((i, unit.times(part)), -d * b), (i, bare): None})
            over = replace(unit, powers=tuple(e - p for e, p in zip(unit.powers, part.powers, strict=True)))
            if (i, below := replace(bare, powers=over.powers)) in values:
                offer({(i, unit): ((i, over), -d / b), (i, below): None})
    return found


def _exchange(
    structure: Structure, values: dict[Term | Number, float], old: Sum, new: Sum
) -> tuple[Structure, np.ndarray]:
    """The structure with one sum in the place of another; parts both have keep their coefficients."""
    known = dict(values)
    mine = {part: Number("coefficient", old, m) for m, (part, _) in enumerate(old.parts)}
    for m, (part, b) in enumerate(new.parts):
        place = Number("coefficient", new, m)
        if b == FITTED and place not in known:
            known[place] = values.get(mine[part], 0.05) if part in mine else 0.05
    units: dict[Unit, Unit] = {}
    for unit in structure.units:
        swapped = [(new if total == old else total, q, k) for k, (total, q) in enumerate(unit.sums)]
        swapped.sort()
        units[unit] = replace(unit, sums=tuple((total, q) for total, q, _ in swapped))
        for n in numbers_of(unit):
            if n.owner == unit and n in values:
                index = [k for _, _, k in swapped].index(n.index) if n.kind == "sum power" else n.index
                known[Number(n.kind, units[unit], index)] = values[n]
    for i, unit in structure.terms:
        known[(i, units[unit])] = values[(i, unit)] + (known.get((i, units[unit]), 0.0) if units[unit] != unit else 0.0)
    changed = Structure(tuple(tuple(units[u] for u in eq) for eq in structure.equations))
    return changed, changed.theta(known)


def over_present_sums(judged: Judged, n_variables: int) -> list[Unit]:
    """Low-degree products over the sums of a candidate, so that equations may share a denominator."""
    axes = [power(*(float(v == w) for w in range(n_variables))) for v in range(n_variables)]
    tops = [power(*[0.0] * n_variables), *axes, *(a.times(b) for a in axes for b in axes)]
    totals = {(total, q) for unit in judged.structure.units for total, q in unit.sums if q != FITTED}
    return list(dict.fromkeys(top.over(total, q) for total, q in sorted(totals) for top in tops))
