"""Equations as source text of other languages, complete functions that run as they stand.

Roots, logarithms and fractional powers of negative numbers give NaN in every language, as they do in
`to_numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import sympy as sp

from neural_arith.equations.names import code_names
from neural_arith.equations.order import Order
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.writing import Text, Writer
from neural_arith.errors import OptionError


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
    plain = [expr.replace(sp.cot, lambda a: sp.cos(a) / sp.sin(a)) for expr in equations.rhs.values()]
    return safe, [writer.write(expr.xreplace(swap))[0] for expr in plain]


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
