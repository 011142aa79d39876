"""Sums of products of powers, ``sum_t c_t prod_i x_i^p_ti``: a power unit under a layer of sums, without descent.

One term is linear in log space, its coefficient included. Several terms with exponents on a grid are a choice of
columns: for few inputs every choice of up to three columns is tried, by the normal equations of all of them at once,
and the best ones are solved with care.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neural_arith.layers import functional
from neural_arith.layers.algebra.closed_form import power_weights, regress, relative_error, rounding, simplify

__all__ = ["SumsOfPowers", "fit_sums_of_powers"]

GRID = (0.0, 1.0, -1.0, 0.5, 2.0, -0.5, -2.0)
COARSE = (0.0, 1.0, -1.0)
_COLUMNS = 400
_CHOICES = 100_000
_CAREFUL = 10


@dataclass(frozen=True)
class SumsOfPowers:
    """A sum of products of powers.

    Attributes:
        powers: exponents, ``(terms, I)``.
        coefficients: ``(terms,)``.
    """

    powers: Tensor
    coefficients: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The values at ``x``, ``(N, I)`` to ``(N,)``."""
        return functional.npu(x, self.powers) @ self.coefficients


def fit_sums_of_powers(x: Tensor, y: Tensor, live: Tensor, tolerance: float, *, terms: int = 3) -> SumsOfPowers:
    """One term with any powers, else the fewest terms with powers of the grid that are exact, else the best of both.

    Args:
        x: ``(N, I)``.
        y: ``(N,)``.
        live: which inputs may have exponents, ``(I,)``.
        tolerance: relative size of rounding errors.
        terms: most terms, 1 to 3.

    Raises:
        DataError: no sample is without zeros.
    """
    best = _one(x, y, live, tolerance)
    allowed = _rounding(best, x, y, tolerance)
    least = relative_error(best(x), y)
    if least <= allowed:
        return best
    powers, columns = _dictionary(x, live)
    scale = columns.norm(dim=0)
    gram = (columns / scale).T @ (columns / scale)
    alike = (columns / scale).T @ y
    for size in range(2, terms + 1):
        if math.comb(len(powers), size) > _CHOICES:
            break
        choices = torch.tensor(list(itertools.combinations(range(len(powers)), size)), device=x.device)
        inner = gram[choices[:, :, None], choices[:, None, :]]
        right = alike[choices]
        solved = torch.linalg.solve_ex(inner + 1e-13 * torch.eye(size, dtype=x.dtype, device=x.device), right).result
        explained = (solved * right).sum(1).nan_to_num(-math.inf)
        for index in explained.topk(min(_CAREFUL, len(choices))).indices:
            found = _solve(x, y, powers[choices[index]], tolerance)
            error = relative_error(found(x), y)
            if error < least:
                best, least = found, error
            if error <= _rounding(found, x, y, tolerance):
                return found
    return best


def _one(x: Tensor, y: Tensor, live: Tensor, tolerance: float) -> SumsOfPowers:
    """One term; its coefficient is that of an input that is always e."""
    with_e = torch.cat([x, x.new_full((len(x), 1), math.e)], 1)

    def value(weights: Tensor) -> Tensor:
        found = functional.npu(with_e, weights[None])[:, 0]
        return found if float(found @ y) >= 0 else -found

    plain = power_weights(x, y, live, tolerance, lambda w: functional.npu(x, w[None])[:, 0])
    alone = functional.npu(x, plain[None])[:, 0]
    one = SumsOfPowers(plain[None], (alone.sign() @ y).sign()[None] if alone.any() else y.new_ones(1))
    if relative_error(one(x), y) <= _rounding(one, x, y, tolerance):
        return one
    scaled = power_weights(with_e, y, torch.cat([live, live.new_ones(1)]), tolerance, value)
    return _solve(x, y, scaled[None, :-1], tolerance)


def _dictionary(x: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
    """Exponents ``(D, I)`` and columns ``(N, D)``: the finest grid that is not too large, finite columns only."""
    places = torch.nonzero(live)[:, 0]
    grid = next((g for g in (GRID, COARSE) if len(g) ** len(places) <= _COLUMNS), None)
    if grid is None:  # many inputs: one at a time
        rows = [torch.eye(len(live), dtype=x.dtype)[places] * power for power in GRID[1:]]
        powers = torch.cat([x.new_zeros(1, len(live)), *rows])
    else:
        powers = x.new_zeros(len(grid) ** len(places), len(live))
        powers[:, places] = torch.tensor(list(itertools.product(grid, repeat=len(places))), dtype=x.dtype)
    columns = functional.npu(x, powers)
    usable = torch.isfinite(columns).all(0) & (columns.norm(dim=0) > 0)
    return powers[usable], columns[:, usable]


def _solve(x: Tensor, y: Tensor, powers: Tensor, tolerance: float) -> SumsOfPowers:
    columns = functional.npu(x, powers)
    fitted = regress(columns, y)
    size = rounding(y, columns.abs() @ fitted.abs(), tolerance)
    return SumsOfPowers(powers, simplify(fitted, y, lambda c: columns @ c, size))


def _rounding(found: SumsOfPowers, x: Tensor, y: Tensor, tolerance: float) -> float:
    logs = torch.where(x == 0, 1.0, x).abs().log().abs()
    parts = functional.npu(x, found.powers).abs() * found.coefficients.abs()
    return rounding(y, (parts * (1 + (1 + logs) @ found.powers.abs().T)).sum(1), tolerance)
