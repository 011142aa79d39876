"""Exchanges of several terms of an equation at once, for where no single step leads on.

A wrong pair of terms often imitates the right one so closely that neither half of the exchange pays alone. What leaves
one state arrives in another, so units that stand in other equations, or over the same sums, are the first to try.
"""

from __future__ import annotations

import itertools

import numpy as np

from neural_arith.discovery.proposals.neighbours import Proposal, spelt_out
from neural_arith.discovery.proposals.quadratic import Move, QuadraticModel
from neural_arith.discovery.search.judge import Judge
from neural_arith.terms.candidate import Judged
from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.prices import unit_price

_WIDE = 120
"""Units of one equation of which all pairs are tried."""

_PLAIN = 12
"""Cheapest units that may come in pairs beside a third one."""

_EACH = 5
"""Most exchanges for the same terms that go."""


def propose_exchanges(judge: Judge, judged: Judged, dictionary: Dictionary, most: int = 300) -> list[Proposal]:
    """Candidates with up to two terms of one equation exchanged for two or three others, most promising first.

    Args:
        judge: knows the measurements.
        judged: the candidate.
        dictionary: units allowed in each equation.
        most: how many promising moves are spelt out.
    """
    model = QuadraticModel(judge, judged, dictionary)
    if not model.good:
        return []
    moves: list[Move] = []
    for i in range(len(judged.structure.equations)):
        here = [k for k in model.present if model.owner[k] == i]
        tables = [table for table in (_pairs(model, i), _triples(model, i)) if len(table)]
        for size, added in itertools.product(range(3), tables):
            for dropped in itertools.combinations(here, size):
                moves.extend(model.moves(list(dropped), added, _EACH))
    return spelt_out(model, moves, most)


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
    return sorted(map(int, mine), key=lambda k: (unit_price(model.terms[k][1]), k))


def _pairs(model: QuadraticModel, i: int) -> np.ndarray:
    """Rows of two new columns of an equation, ``(pairs, 2)``."""
    first = _flows(model, i)
    wide = list(dict.fromkeys((*first, *_by_price(model, i))))[:_WIDE]
    return np.array(list(itertools.combinations(wide, 2)), dtype=int)


def _triples(model: QuadraticModel, i: int) -> np.ndarray:
    """Rows of a unit from elsewhere and two cheap ones, ``(triples, 3)``."""
    cheap = [k for k in _by_price(model, i) if not model.terms[k][1].sums][:_PLAIN]
    rows = [(k, a, b) for k in _flows(model, i) for a, b in itertools.combinations(cheap, 2) if k not in (a, b)]
    return np.array(rows, dtype=int)
