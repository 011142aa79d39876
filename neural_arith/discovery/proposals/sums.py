"""Candidates with other sums in their units: parts more or less, two sums made one, fractions told apart or joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure, Term, form_of
from neural_arith.terms.units import FITTED, Number, Sum, Unit, numbers_of, one_plus, power


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
            bare = _without(unit, total, q)
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


def shared_fractions(judged: Judged) -> list[tuple[Structure, np.ndarray]]:
    """The same equations with c u + d u / S, S = 1 + b p, written with u p / S where another equation has that."""
    structure = judged.structure
    values = structure.values(judged.theta)
    found = []
    for (i, unit), (total, q) in ((term, s) for term in structure.terms for s in term[1].sums):
        part, b = total.parts[-1]
        bare = _without(unit, total, q)
        if len(total.parts) != 2 or q != -1.0 or any(total.parts[0][0].powers) or not part.plain or part.n_fitted:
            continue
        flow = unit.times(part)
        if unit.n_fitted or (i, bare) not in values or not any(flow in eq for eq in structure.equations):
            continue
        b = values[Number("coefficient", total, 1)] if b == FITTED else b
        new = dict(values)
        d = new.pop((i, unit))
        new[(i, bare)] += d
        new[(i, flow)] = new.get((i, flow), 0.0) - d * b
        again = structure.replace(i, [u for u in (*structure.equations[i], flow) if u != unit])
        found.append((again, again.theta(new)))
    return found


def _without(unit: Unit, total: Sum, q: float) -> Unit:
    """A unit without one power of a sum."""
    return replace(unit, sums=tuple(s for s in unit.sums if s != (total, q)), copy=0)


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
