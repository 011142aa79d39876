"""Equations as something that runs: functions of numbers and arrays, source text of other languages, torch modules.

Roots, logarithms and fractional powers of negative numbers give NaN everywhere but in power units. In functions names
never reach the generated code: every symbol is replaced by a numbered one first, so a state may be called anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import sympy as sp
import torch
from torch import nn

from neural_arith.equations.constants import Order
from neural_arith.equations.names import code_names
from neural_arith.equations.text import Text, Writer
from neural_arith.errors import DataError, OptionError
from neural_arith.layers import NAU, NPU, LiftedNPU

if TYPE_CHECKING:
    from neural_arith.equations.system import EquationSystem


# ---------------------------------------------------------------------- functions
def neutral(expressions: Sequence[sp.Expr], names: Sequence[str]) -> tuple[list[sp.Expr], list[sp.Symbol]]:
    """The expressions over numbered real symbols, ``cot`` as a quotient (no target library has it)."""
    symbols = [sp.Symbol(f"v{i}_", real=True) for i in range(len(names))]
    swap = {sp.Symbol(name): symbol for name, symbol in zip(names, symbols, strict=True)}
    return [_without_cot(expr).xreplace(swap) for expr in expressions], symbols


def _without_cot(expr: sp.Expr) -> Any:
    return expr.replace(sp.cot, lambda a: sp.cos(a) / sp.sin(a))


def array_function(expressions: Sequence[sp.Expr], names: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of ``(*batch, names)`` giving ``(*batch, expressions)``, NaN outside the domain."""
    plain, symbols = neutral(expressions, names)
    function = sp.lambdify(symbols, plain, modules="numpy", cse=True)

    def f(values: np.ndarray) -> np.ndarray:
        out = np.empty((*values.shape[:-1], len(plain)))
        with np.errstate(all="ignore"):
            for i, column in enumerate(function(*np.moveaxis(values, -1, 0))):
                out[..., i] = column
        return out

    return f


def scalar_function(expressions: Sequence[sp.Expr], names: Sequence[str]) -> Callable[..., list[float]]:
    """A function of one float per name giving a list of floats, much faster than NumPy on single numbers."""
    plain, symbols = neutral(expressions, names)
    fast = sp.lambdify(symbols, plain, modules=[{"sign": _sign}, "math"], cse=True)
    slow = array_function(expressions, names)

    def f(*values: float) -> list[float]:
        try:
            out = fast(*values)
            if not any(isinstance(number, complex) for number in out):
                return out
        except (ValueError, ZeroDivisionError, OverflowError):
            # where the math module raises, NumPy has an answer: infinite, or NaN, or exp(-inf) = 0
            pass
        return slow(np.array(values, dtype=float)).tolist()

    return f


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else value


# ---------------------------------------------------------------------- source text
def write_code(equations: EquationSystem, language: str) -> str:
    """The text of a function that evaluates the right-hand sides.

    Args:
        equations: the system.
        language: ``"numpy"``: ``rhs(t, state, inputs=None)`` returning an array, vectorised over leading
            axes; ``"julia"``: ``rhs!(derivative, state, inputs, t)`` as DifferentialEquations.jl calls it;
            ``"c"``: ``void rhs(double t, const double *state, const double *inputs, double *derivative)``.

    Raises:
        OptionError: another language; the message lists these.
    """
    if not isinstance(language, str) or language not in _WRITERS:
        raise OptionError(f"language must be one of {', '.join(_WRITERS)}, not {language!r}")
    return _WRITERS[language](equations)


class _Numpy(Text):
    functions: ClassVar = {"Abs": "abs", "asinh": "arcsinh"}

    def whole(self, value: int) -> str:
        return str(value) if abs(value) < 2**53 else repr(float(value))

    def call(self, name: str, inner: str) -> str:
        return f"np.{self.functions.get(name, name)}({inner})"


class _C(Text):
    functions: ClassVar = {"Abs": "fabs", "sign": "sign_of"}

    def whole(self, value: int) -> str:
        return repr(float(value))

    def power(self, base: str, exponent: str, simple: bool) -> str:
        return f"pow({base}, {exponent})"

    def call(self, name: str, inner: str) -> str:
        return f"{self.functions.get(name, name)}({inner})"


class _Julia(Text):
    functions: ClassVar = {"Abs": "abs", "sqrt": "real_root", "log": "real_log"}

    def whole(self, value: int) -> str:
        return str(value) if abs(value) < 2**53 else repr(float(value))

    def power(self, base: str, exponent: str, simple: bool) -> str:
        return f"{base}^{exponent}" if exponent.isdigit() else f"real_power({base}, {exponent})"

    def call(self, name: str, inner: str) -> str:
        return f"{self.functions.get(name, name)}({inner})"


_C_SIGN = "static double sign_of(double z) { return (double)((z > 0.0) - (z < 0.0)); }"
_JULIA_HELPERS = {
    "real_power(": "real_power(b, e) = b < 0 && !isinteger(e) ? NaN : float(b)^e",
    "real_root(": "real_root(z) = z < 0 ? NaN : sqrt(z)",
    "real_log(": "real_log(z) = z < 0 ? NaN : log(z)",
}


def _bodies(equations: EquationSystem, style: Text) -> tuple[dict[str, str], list[str]]:
    """The identifiers of all names, and each right-hand side in the language's syntax."""
    names = [*equations.states, *equations.inputs]
    safe = code_names(names)
    swap = {sp.Symbol(name): sp.Symbol(safe[name]) for name in names}
    writer = Writer(Order([safe[name] for name in names]), None, style)
    return safe, [writer.write(_without_cot(expr).xreplace(swap))[0] for expr in equations.rhs.values()]


def _locals(equations: EquationSystem, safe: dict[str, str], line: Callable[[str, str, int], str]) -> list[str]:
    """One line for each name that is used, from ``line(identifier, array, index)``."""
    used = {str(symbol) for expr in equations.rhs.values() for symbol in expr.free_symbols}
    arrays: Sequence[tuple[str, Sequence[str]]] = (("state", equations.states), ("inputs", equations.inputs))
    return [
        line(safe[name], array, index) for array, names in arrays for index, name in enumerate(names) if name in used
    ]


def _order_note(equations: EquationSystem) -> str:
    inputs = f"; inputs: {', '.join(equations.inputs)}" if equations.inputs else ""
    return f"Right-hand sides; states: {', '.join(equations.states)}{inputs}."


def _write_numpy(equations: EquationSystem) -> str:
    safe, bodies = _bodies(equations, _Numpy())
    note = _order_note(equations).replace("\\", "\\\\").replace('"', '\\"')
    n_states = len(equations.states)
    lines = ["import numpy as np", "", "", "def rhs(t, state, inputs=None):", f'    """{note}"""']
    lines.append("    state = np.asarray(state, dtype=float)")
    shape = "state.shape"
    if equations.inputs:
        lines.append("    inputs = np.asarray(inputs, dtype=float)")
        shape = f"np.broadcast_shapes(state.shape[:-1], inputs.shape[:-1]) + ({n_states},)"
    lines += _locals(equations, safe, lambda name, array, i: f"    {name} = {array}[..., {i}]")
    lines += [f"    derivative = np.empty({shape})", '    with np.errstate(all="ignore"):']
    lines += [f"        derivative[..., {i}] = {body}" for i, body in enumerate(bodies)]
    return "\n".join([*lines, "    return derivative", ""])


def _write_c(equations: EquationSystem) -> str:
    safe, bodies = _bodies(equations, _C())
    lines = ["#include <math.h>", ""]
    if any("sign_of(" in body for body in bodies):
        lines += [_C_SIGN, ""]
    note = _order_note(equations).replace("*/", "* /")
    # two question marks would start a trigraph in old compilers
    lines += [f"/* {note.replace('??', '? ?')} */"]
    lines += ["void rhs(double t, const double *state, const double *inputs, double *derivative)", "{"]
    lines += ["    (void)t;", "    (void)state;", "    (void)inputs;"]
    lines += _locals(equations, safe, lambda name, array, i: f"    const double {name} = {array}[{i}];")
    lines += [f"    derivative[{i}] = {body};" for i, body in enumerate(bodies)]
    return "\n".join([*lines, "}", ""])


def _write_julia(equations: EquationSystem) -> str:
    safe, bodies = _bodies(equations, _Julia())
    lines = [text for call, text in _JULIA_HELPERS.items() if any(call in body for body in bodies)]
    lines += [""] if lines else []
    lines += [f"# {_order_note(equations)}", "function rhs!(derivative, state, inputs, t)"]
    lines += _locals(equations, safe, lambda name, array, i: f"    {name} = {array}[{i + 1}]")
    lines += [f"    derivative[{i + 1}] = {body}" for i, body in enumerate(bodies)]
    return "\n".join([*lines, "    return nothing", "end", ""])


_WRITERS: dict[str, Callable[[EquationSystem], str]] = {
    "numpy": _write_numpy,
    "julia": _write_julia,
    "c": _write_c,
}


# ---------------------------------------------------------------------- torch modules
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
        self._function = _compiled(equations)

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
        # compiled functions cannot be pickled; within a process the one there is serves all copies
        return {key: value for key, value in super().__getstate__().items() if key != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._function = _compiled(self.equations)


@lru_cache(64)
def _compiled(equations: EquationSystem) -> Callable[..., list[Any]]:
    """The right-hand sides as a function of states, inputs and constants, tensors all."""
    template = equations.fit_template
    plain, symbols = neutral([_decimal(expr) for expr in template.expressions], (*equations.states, *equations.inputs))
    return sp.lambdify([*symbols, *template.symbols], plain, modules="torch", cse=True)


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
