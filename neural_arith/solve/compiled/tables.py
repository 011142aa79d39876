"""Candidates laid out as arrays: the form the compiled solver reads.

Every candidate has the same types whatever its size, so the kernels are compiled once and not for each of them. What
one evaluation of a right-hand side needs is decided here, because it is done once for a candidate and read a million
times:

- Every distinct unit has one row, also where several equations or sums hold it, and is evaluated once for each state.
  Rows of units that are parts of sums come first: values go through units, sums and compound units in three plain
  loops, without recursion.
- Exponents, rates, frequencies and logarithms are full rows over the variables, of which there are few: comparing with
  zero is cheaper than fetching an index, and a row lies in one cache line.
- Sums and their parts are lists with the place where each begins. Most units have none, and a full matrix of units by
  sums would be walked at every step for nothing.
- Bits say which units have an exponential, a cosine or logarithms at all, so that the many plain ones call none.
- Fixed numbers are in the user's own units, fitted ones in scaled ones; the change of units happens here, so that the
  kernels know only one kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

from neural_arith.solve.compiled.cache import compiled
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Unit


class Tables(NamedTuple):
    """One candidate, or with a leading axis many, as padded arrays: the form the compiled solver reads.

    Units stand inner ones (parts of sums) first. ``live`` holds how many of the rows are there: (inner units, units,
    sums, terms, numbers); the others are padding, so that many candidates of different sizes are one array.
    """

    powers: np.ndarray  # (units, variables)
    rates: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray  # (units,)
    logs: np.ndarray  # (units, variables)
    lifted: np.ndarray  # (units,) bits: 1 rates, 2 frequencies, 4 logs
    factor_first: np.ndarray  # (units + 1,) factors of each unit that are sums
    factor_sum: np.ndarray  # (factors,)
    factor_power: np.ndarray
    part_first: np.ndarray  # (sums + 1,)
    part_unit: np.ndarray  # (parts,)
    part_coefficient: np.ndarray
    equation: np.ndarray  # (terms,)
    unit: np.ndarray
    kind: np.ndarray  # (numbers,) index in KINDS
    place: np.ndarray  # (numbers, 2): (unit, variable), (part, 0) or (factor, 0)
    live: np.ndarray  # (5,)


KINDS = ("power", "rate", "frequency", "phase", "coefficient", "sum power")


def _size_of(unit: Unit, scale: np.ndarray, known: Mapping[Term | Number, float]) -> float:
    """What the powers of a unit in scaled numbers are multiplied by to be those in original ones."""
    exponents = [known[Number("power", unit, v)] if e == FITTED else e for v, e in enumerate(unit.powers)]
    return float(np.prod(scale ** np.array(exponents)))


def _lay_out(structure: Structure, theta: np.ndarray, columns: Sequence[Number] | None, scale: np.ndarray) -> Tables:
    """Arrays of one structure; ``columns`` are the numbers to refine, default all fitted ones."""
    known = structure.values(theta)
    sums = list(dict.fromkeys(total for unit in structure.units for total, _ in unit.sums))
    inner = list(dict.fromkeys(part for total in sums for part, _ in total.parts))
    # A unit that is a part of a sum as well has one row, so that its fitted numbers have one place.
    units = list(dict.fromkeys((*inner, *structure.units)))
    outer = units[len(inner) :]
    spot = {unit: h for h, unit in enumerate(units)}
    n_variables = len(scale)

    def read(kind: str, unit: Unit, values: tuple[float, ...], factor: np.ndarray | None = None) -> list[float]:
        if not values:
            return [0.0] * n_variables
        return [
            known[Number(kind, unit, v)] if value == FITTED else value * (1.0 if factor is None else factor[v])
            for v, value in enumerate(values)
        ]

    factors = [(unit, k, total, q) for unit in outer for k, (total, q) in enumerate(unit.sums)]
    parts = [(total, m, part, b) for total in sums for m, (part, b) in enumerate(total.parts)]
    # Where each number that may be fitted stands: the kernels write trial values there in place, which costs a few
    # assignments for each trial; laying out anew would cost more than the integration.
    where: dict[Number, tuple[int, int]] = {}
    for unit, h in spot.items():
        for kind in ("power", "rate", "frequency"):
            where.update({Number(kind, unit, v): (h, v) for v in range(n_variables)})
        where[Number("phase", unit)] = (h, 0)
    coefficients = []
    for f, (total, m, part, b) in enumerate(parts):
        place = Number("coefficient", total, m)
        where[place] = (f, 0)
        # The first part of a sum is taken as the measure of the others, and its own size goes into the coefficient of
        # the term: a sum then has numbers of ordinary size in scaled units, whatever the user's units are.
        ratio = (
            1.0 if m == 0 or b == FITTED else _size_of(part, scale, known) / _size_of(total.parts[0][0], scale, known)
        )
        coefficients.append(known[place] if b == FITTED else b * ratio)
    powers_of_sums = []
    for f, (unit, k, _, q) in enumerate(factors):
        place = Number("sum power", unit, k)
        where[place] = (f, 0)
        powers_of_sums.append(known[place] if q == FITTED else q)
    rows = np.array([spot[unit] for unit, _, _, _ in factors], dtype=np.int64)
    refined = structure.numbers if columns is None else list(columns)
    return Tables(
        powers=np.array([read("power", u, u.powers) for u in units]).reshape(-1, n_variables),
        rates=np.array([read("rate", u, u.rates, scale) for u in units]).reshape(-1, n_variables),
        frequencies=np.array([read("frequency", u, u.frequencies, scale) for u in units]).reshape(-1, n_variables),
        phases=np.array([known[Number("phase", u)] if u.phase == FITTED else u.phase for u in units]),
        logs=np.array([u.logs or (0,) * n_variables for u in units], dtype=float).reshape(-1, n_variables),
        lifted=np.array([bool(u.rates) + 2 * bool(u.frequencies) + 4 * bool(u.logs) for u in units], dtype=np.int64),
        factor_first=np.searchsorted(rows, np.arange(len(units) + 1)).astype(np.int64),
        factor_sum=np.array([sums.index(total) for _, _, total, _ in factors], dtype=np.int64),
        factor_power=np.array(powers_of_sums, dtype=float),
        part_first=np.cumsum([0, *(len(total.parts) for total in sums)]).astype(np.int64),
        part_unit=np.array([spot[part] for _, _, part, _ in parts], dtype=np.int64),
        part_coefficient=np.array(coefficients, dtype=float),
        equation=np.array([i for i, _ in structure.terms], dtype=np.int64),
        unit=np.array([spot[u] for _, u in structure.terms], dtype=np.int64),
        kind=np.array([KINDS.index(number.kind) for number in refined], dtype=np.int64),
        place=np.array([where[number] for number in refined], dtype=np.int64).reshape(-1, 2),
        live=np.array([len(inner), len(units), len(sums), structure.n_terms, len(refined)], dtype=np.int64),
    )


def pack(
    structures: Sequence[Structure],
    thetas: Sequence[np.ndarray],
    scale: np.ndarray,
    columns: Sequence[Sequence[Number]] | None = None,
) -> Tables:
    """Lay structures out as padded arrays with a leading axis for the candidates.

    Args:
        structures: the candidates.
        thetas: for each one its values.
        scale: size of each variable: what a scaled value is multiplied by to be an original one, ``(variables,)``.
        columns: for each one the numbers to refine or differentiate by, fixed ones allowed; default all fitted ones.
    """
    chosen = columns or [None] * len(structures)
    laid = [_lay_out(s, np.asarray(p), c, scale) for s, p, c in zip(structures, thetas, chosen, strict=True)]
    if not laid:
        laid = [_lay_out(Structure(()), np.zeros(0), None, scale)]
    padded = []
    for arrays in zip(*laid, strict=True):
        # At least one entry each: the compiled code takes views of first rows.
        shape = [max(1, *(a.shape[k] for a in arrays)) for k in range(arrays[0].ndim)]
        out = np.zeros((len(structures), *shape), dtype=arrays[0].dtype)
        for c, a in enumerate(arrays[: len(structures)]):
            out[(c, *(slice(n) for n in a.shape))] = a
        padded.append(out)
    return Tables(*padded)


def _borrowed(typing_context: Any, array: Any) -> Any:
    """The same array without ownership of its memory.

    Numba counts references to an array atomically whenever it passes one to a function, also to one that is inlined;
    the units of an equation have some twenty arrays, and counting them took ten times as long as evaluating a unit.

    Only for arguments of a function: the caller holds them until it returns. A local array might be freed after its
    last use under its own name.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), codegen


borrowed: Any = intrinsic(_borrowed)


@compiled(forceinline=True)
def borrowed_tables(tables: Tables) -> Tables:
    """The tables of one candidate, each array borrowed."""
    return Tables(
        borrowed(tables.powers), borrowed(tables.rates), borrowed(tables.frequencies), borrowed(tables.phases),
        borrowed(tables.logs), borrowed(tables.lifted), borrowed(tables.factor_first), borrowed(tables.factor_sum),
        borrowed(tables.factor_power), borrowed(tables.part_first), borrowed(tables.part_unit),
        borrowed(tables.part_coefficient), borrowed(tables.equation), borrowed(tables.unit), borrowed(tables.kind),
        borrowed(tables.place), borrowed(tables.live),
    )  # fmt: skip
