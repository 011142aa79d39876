"""Equations as torch modules: the layers they are made of where possible, else their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
import torch
from torch import nn

from neural_arith.equations.numeric import neutral
from neural_arith.equations.system import EquationSystem
from neural_arith.errors import DataError
from neural_arith.layers import NAU, NPU, LiftedNPU


def build_module(equations: EquationSystem) -> nn.Module:
    """The right-hand sides as a float64 module, ``(*batch, states + inputs) -> (*batch, states)``.

    Args:
        equations: the system.

    Returns:
        ``nn.Sequential(NPU, NAU)`` when every right-hand side is a sum of products of powers, `LiftedNPU` in
        the place of `NPU` when exponentials, sines or cosines of linear expressions occur in the products; a
        `FormulaModule` otherwise. Fractional powers of negative numbers are NaN in a formula, but power units
        give the real part of the principal value there.
    """
    names = (*equations.states, *equations.inputs)
    found = [_units(expr, names) for expr in equations.rhs.values()]
    rows = [row for row in found if row is not None]
    units = list(dict.fromkeys(unit for row in rows for unit in row))
    if len(rows) < len(found) or not units:
        return FormulaModule(equations)
    weights = [[row.get(unit, 0.0) for unit in units] for row in rows]
    powers = [list(unit[0]) for unit in units]
    if any(any(unit[1]) or any(unit[2]) or unit[3] for unit in units):
        rates, frequencies = [list(unit[1]) for unit in units], [list(unit[2]) for unit in units]
        first: nn.Module = LiftedNPU.from_parts(powers, rates, frequencies, [unit[3] for unit in units])
    else:
        first = NPU.from_weights(powers)
    return nn.Sequential(first, NAU.from_weights(weights))


class FormulaModule(nn.Module):
    """Right-hand sides as formulas over torch tensors, their constants as one parameter vector.

    Args:
        equations: the system.

    Attributes:
        constants: parameter ``(constants,)`` in float64: the numbers that `refit_constants` fits.
    """

    def __init__(self, equations: EquationSystem) -> None:
        super().__init__()
        self.equations = equations
        self.constants = nn.Parameter(torch.tensor(equations.fit_template.values, dtype=torch.float64))
        self._compile()

    def _compile(self) -> None:
        names = (*self.equations.states, *self.equations.inputs)
        template = self.equations.fit_template
        plain, symbols = neutral([_decimal(expr) for expr in template.expressions], names)
        self._function = sp.lambdify([*symbols, *template.symbols], plain, modules="torch", cse=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate at states and inputs, ``(*batch, states + inputs)``, giving ``(*batch, states)``."""
        width = len(self.equations.states) + len(self.equations.inputs)
        if x.ndim == 0 or x.shape[-1] != width:
            raise DataError(f"x must have shape (*batch, {width}), but has {tuple(x.shape)}")
        out = self._function(*x.unbind(-1), *self.constants.to(x.dtype).unbind(0))
        columns = [torch.as_tensor(column, dtype=x.dtype, device=x.device).expand(x.shape[:-1]) for column in out]
        return torch.stack(columns, dim=-1)

    def extra_repr(self) -> str:
        """The equations with the constants as they came."""
        return repr(self.equations)

    def to_equations(self) -> EquationSystem:
        """The system with the constants as they are now."""
        return self.equations.filled(self.equations.fit_template, self.constants.detach().cpu().tolist())

    def __getstate__(self) -> dict[str, Any]:
        # compiled functions cannot be pickled; they are compiled anew
        return {key: value for key, value in super().__getstate__().items() if key != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._compile()


def _decimal(expr: Any) -> sp.Expr:
    """Exact irrational numbers, such as sqrt(2), as floats: torch functions take no plain numbers."""
    if expr.is_number and not expr.is_Rational and not expr.free_symbols:
        return sp.Float(float(expr))
    return expr.func(*map(_decimal, expr.args)) if expr.args else expr


Unit = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], float]
"""Exponents, rates and frequencies of all variables, and the phase of the cosine."""


_MOST = 12


@dataclass
class _Product:
    """One term on its way: a number times powers, an exponential, and cosines (angle, phase) to be joined."""

    scale: float = 1.0
    powers: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    waves: list[tuple[dict[str, float], float]] = field(default_factory=list)


def _units(expr: sp.Expr, names: Sequence[str]) -> dict[Unit, float] | None:
    """A right-hand side as lifted power units with coefficients, or None."""
    units: dict[Unit, float] = {}
    if any(power.exp.is_Integer and abs(int(power.exp)) > _MOST for power in expr.atoms(sp.Pow) if power.base.is_Add):
        return None  # multiplied out, it would not be a formula any more
    for term in sp.Add.make_args(sp.expand(expr, power_exp=False)):
        product = _Product()
        for factor in sp.Mul.make_args(term):
            if not _take(factor, product):
                return None
        for scale, (angle, phase) in _joined(product.waves):
            coefficient = product.scale * scale
            if not math.isfinite(coefficient):
                return None
            unit: Unit = (
                tuple(product.powers.get(name, 0.0) for name in names),
                tuple(product.rates.get(name, 0.0) for name in names),
                tuple(angle.get(name, 0.0) for name in names),
                phase,
            )
            units[unit] = units.get(unit, 0.0) + coefficient
    return {unit: value for unit, value in units.items() if value}


def _take(factor: sp.Expr, product: _Product) -> bool:
    """Multiply a factor into the product; False when no power unit can hold it."""
    if factor.is_number:
        product.scale *= float(factor)
        return True
    base, exponent = factor.as_base_exp()
    if isinstance(base, sp.Symbol) and exponent.is_Number:
        # the unit gives the real part of a fractional power of a negative base, a formula gives NaN there
        product.powers[base.name] = product.powers.get(base.name, 0.0) + float(exponent)
        return True
    if isinstance(factor, sp.exp):
        linear = _linear(factor.args[0])
        if linear is None:
            return False
        for name, rate in linear[0].items():
            product.rates[name] = product.rates.get(name, 0.0) + rate
        product.scale *= math.exp(min(linear[1], 709.0)) if linear[1] <= 709.0 else math.inf
        return True
    if isinstance(base, sp.sin | sp.cos) and exponent.is_Integer and 0 < int(exponent) <= _MOST:
        linear = _linear(base.args[0])
        if linear is None:
            return False
        quarter = -math.pi / 2 if isinstance(base, sp.sin) else 0.0
        product.waves += [(linear[0], linear[1] + quarter)] * int(exponent)
        return True
    return False


def _linear(expr: Any) -> tuple[dict[str, float], float] | None:
    """An argument as ``sum rate * name + constant``, or None."""
    rates: dict[str, float] = {}
    constant = 0.0
    for term in sp.Add.make_args(sp.expand(expr)):
        coefficient, rest = term.as_coeff_Mul()
        if isinstance(rest, sp.Symbol):
            rates[rest.name] = rates.get(rest.name, 0.0) + float(coefficient)
        elif term.is_number:
            constant += float(term)
        else:
            return None
    return rates, constant


def _joined(
    waves: Sequence[tuple[dict[str, float], float]],
) -> list[tuple[float, tuple[dict[str, float], float]]]:
    """A product of cosines as a sum of single ones, by cos a * cos b = (cos(a - b) + cos(a + b))/2."""
    total: list[tuple[float, tuple[dict[str, float], float]]] = [(1.0, ({}, 0.0))]
    for index, (angle, phase) in enumerate(waves):
        if index == 0:
            total = [(1.0, (angle, phase))]
            continue
        split = []
        for scale, (other, shift) in total:
            for sign in (-1.0, 1.0):
                names = {*angle, *other}
                turned = {name: other.get(name, 0.0) + sign * angle.get(name, 0.0) for name in names}
                turned = {name: value for name, value in turned.items() if value}
                whole = shift + sign * phase
                if turned:
                    split.append((scale / 2, (turned, whole)))
                else:
                    level = math.cos(whole)
                    split.append((scale / 2 * level if abs(level) > 1e-15 else 0.0, ({}, 0.0)))
        total = split
    return total
