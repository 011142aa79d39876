"""Neighbours of a candidate, ranked by a quadratic model of the likelihood before any of them is integrated.

Dropping a term, adding one, exchanging one, exchanging a unit wherever it stands, fixing a fitted number or freeing a
fixed one costs a small linear solve each; only the most promising ones are refined through the solver.

Where no single step leads on, several terms of an equation are exchanged at once: a wrong pair of terms often imitates
the right one so closely that neither half of the exchange pays alone. What leaves one state arrives in another, so
units that stand in other equations, or over the same sums, are the first to try.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neural_arith.discovery.effort import DEFAULT, Effort
from neural_arith.discovery.likelihood import Likelihood
from neural_arith.discovery.proposals.quadratic import Move, QuadraticModel
from neural_arith.terms.candidate import Judged
from neural_arith.terms.dictionary import Dictionary, snap
from neural_arith.terms.structure import Structure, rewrite, tidy
from neural_arith.terms.units import FITTED, Number, Sum


@dataclass(frozen=True)
class Proposal:
    """A neighbour with a first guess of its values and the score the quadratic model expects."""

    structure: Structure
    theta: np.ndarray
    expected: float


def fixed_choices(number: Number, value: float, scale: np.ndarray) -> list[tuple[float, float]]:
    """Plain values a fitted number may stand for: what the unit then says, and the value in scaled numbers.

    A number that has a unit of measurement is one only by chance, so the 1 + x of a fraction and the rate of an
    exponential stay fitted. Angles are pure numbers, and what has the same unit may be added up as it is.
    """
    if number.kind in ("power", "sum power"):
        return [(e, e) for e in snap(value)[:2]]
    if number.kind == "frequency":
        size = scale[number.index]
        nearest = round(value / size)
        near = nearest and abs(nearest) <= 2 and abs(value / size - nearest) < 0.2 * abs(nearest)
        return [(float(nearest), nearest * size)] if near else []
    if number.kind == "phase":
        turns = math.floor(value / math.pi + 0.75) * math.pi
        inside = value - turns
        return [(target, target + turns) for target in (0.0, -math.pi / 2) if abs(inside - target) < 0.5]
    if isinstance(number.owner, Sum):
        first, part = number.owner.parts[0][0], number.owner.parts[number.index][0]
        told = first.plain and part.plain and FITTED not in (*first.powers, *part.powers)
        if not told or sum(first.powers) != sum(part.powers):
            return []
        one = float(np.prod(scale ** (np.array(part.powers) - first.powers)))
        return [(s, s * one) for s in (1.0, -1.0) if abs(value / one - s) < 0.3]
    return []


def propose(likelihood: Likelihood, judged: Judged, dictionary: Dictionary, effort: Effort = DEFAULT) -> list[Proposal]:
    """Neighbours of a candidate, most promising first, each structure once.

    Args:
        likelihood: of the measurements.
        judged: the candidate.
        dictionary: units allowed in each equation.
        effort: how many moves are considered and spelt out.
    """
    model = QuadraticModel(likelihood, judged, dictionary)
    if not model.good:
        return []
    none = np.zeros((1, 0), dtype=int)
    moves: list[Move] = []
    if len(model.absent):
        moves.extend(model.moves([], model.absent[:, None], effort.neighbours))
    freeable = np.array([model.place[n] for n in model.numbers if n not in set(judged.structure.numbers)], dtype=int)
    if len(freeable):
        moves.extend(model.moves([], freeable[:, None], effort.neighbours))
    for number in judged.structure.numbers:
        for said, target in fixed_choices(number, model.values[number], likelihood.problem.scale):
            moves.extend(model.moves([], none, 1, ((number, said, target),)))
    for k in model.present:
        moves.extend(model.moves([k], none, 1))
        mine = model.absent[model.owner[model.absent] == model.terms[k][0]]
        if len(mine):
            moves.extend(model.moves([k], mine[:, None], effort.neighbours))
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
            moves.extend(model.moves(dropped, np.array(rows, dtype=int), effort.neighbours))
    return spelt_out(model, moves, effort.neighbours)


def with_plain_numbers(judged: Judged, scale: np.ndarray) -> list[tuple[Structure, np.ndarray]]:
    """A candidate with one of its fitted numbers fixed at a plain value near it, ``hare`` for ``hare**0.994``."""
    structure = judged.structure
    values = structure.values(judged.theta)
    found = []
    for number in structure.numbers:
        for said, _ in fixed_choices(number, values[number], scale):
            change = {number: said}
            plainer, guess = rewrite(structure, values, lambda n, v, change=change: change.get(n, v))
            found.append(tidy(plainer, plainer.theta(guess)))
    return found


def spelt_out(model: QuadraticModel, moves: list[Move], most: int) -> list[Proposal]:
    """The structures that the most promising moves lead to, best first."""
    found: dict[Structure, list[Proposal]] = {}
    for move in sorted(moves, key=lambda m: m.expected):
        if most == 0:
            break
        model.likelihood.clock.check()
        structure, theta = model.build(move)
        if not model.likelihood.known.variants(structure):  # takes no place of what may be
            continue
        most -= 1
        alike = found.setdefault(structure, [])
        if len(alike) < (2 if structure.numbers else 1):
            alike.append(Proposal(structure, theta, move.misfit + model.likelihood.price(structure)))
    return sorted((p for alike in found.values() for p in alike), key=lambda p: p.expected)


def _drop_one_by_one(model: QuadraticModel) -> Iterator[Move]:
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


# -------------------------------------------------------------------------------------- exchanges of several terms
def propose_exchanges(
    likelihood: Likelihood, judged: Judged, dictionary: Dictionary, effort: Effort = DEFAULT
) -> list[Proposal]:
    """Candidates with up to two terms of one equation exchanged for two or three others, most promising first.

    Args:
        likelihood: of the measurements.
        judged: the candidate.
        dictionary: units allowed in each equation.
        effort: how many moves are considered and spelt out.
    """
    model = QuadraticModel(likelihood, judged, dictionary)
    if not model.good:
        return []
    moves: list[Move] = []
    for i in range(len(judged.structure.equations)):
        here = [k for k in model.present if model.owner[k] == i]
        tables = [table for table in (_pairs(model, i, effort), _triples(model, i, effort)) if len(table)]
        for size, added in itertools.product(range(3), tables):
            for dropped in itertools.combinations(here, size):
                moves.extend(model.moves(list(dropped), added, effort.exchange_each))
    return spelt_out(model, moves, effort.exchanges)


def _flows(model: QuadraticModel, i: int) -> list[int]:
    """Columns of units new to an equation that stand in another one, or over a sum that stands somewhere."""
    present = {model.terms[k] for k in model.present}
    units = {unit for j, unit in present if j != i}
    totals = {total for _, unit in present for total, _ in unit.sums}
    return [
        int(k)
        for k in model.absent[model.owner[model.absent] == i]
        if model.terms[k][1] in units or totals.intersection(total for total, _ in model.terms[k][1].sums)
    ]


def _by_price(model: QuadraticModel, i: int) -> list[int]:
    """Columns of units new to an equation, the cheapest first."""
    mine = model.absent[model.owner[model.absent] == i]
    return sorted(map(int, mine), key=lambda k: (model.likelihood.prior.unit(model.terms[k][1]), k))


def _pairs(model: QuadraticModel, i: int, effort: Effort) -> np.ndarray:
    """Rows of two new columns of an equation, ``(pairs, 2)``."""
    first = _flows(model, i)
    wide = list(dict.fromkeys((*first, *_by_price(model, i))))[: effort.exchange_units]
    return np.array(list(itertools.combinations(wide, 2)), dtype=int)


def _triples(model: QuadraticModel, i: int, effort: Effort) -> np.ndarray:
    """Rows of a unit from elsewhere and two cheap ones, ``(triples, 3)``."""
    cheap = [k for k in _by_price(model, i) if not model.terms[k][1].sums][: effort.exchange_plain]
    rows = [(k, a, b) for k in _flows(model, i) for a, b in itertools.combinations(cheap, 2) if k not in (a, b)]
    return np.array(rows, dtype=int)
