"""The one object both ways of finding equations end in: named right-hand sides with plain numbers inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
import torch
from numpy.typing import ArrayLike

from neural_arith.data.arrays import in_order
from neural_arith.data.cells import short
from neural_arith.data.checks import to_floats
from neural_arith.equations.compare import compare
from neural_arith.equations.constants import Template, make_template
from neural_arith.equations.export import array_function, build_module, scalar_function, write_code
from neural_arith.equations.io import read_file, save
from neural_arith.equations.names import FUNCTION_NAMES, checked_names, listed, quoted
from neural_arith.equations.text import LATEX, MAX_BITS, latex_name, read_expression, write
from neural_arith.errors import DataError, EquationError, OptionError
from neural_arith.solve import solve

_CALLS = frozenset(FUNCTION_NAMES)

_LONGEST, _SHOWN = 1500, 400
"""Characters from which on a system is not shown whole in the form that Python reads, and what is shown then."""


class EquationSystem:
    """A system of ordinary differential equations dx/dt = f(x, u) with named states and numbers inside.

    Immutable and hashable: two systems are equal when states, inputs and right-hand sides are, in the same
    order. Whole numbers and fractions (``2``, ``2/3``) are exact; decimal numbers (``2.0``) are constants, which
    `constants` lists. `refit_constants` fits both, and says which numbers belong to the form.

    Args:
        rhs: for each state its right-hand side: text, a number, or a sympy expression over symbols of these
            names (assumptions on the symbols are dropped). Any text may be a name; in formulas given as
            text, a name that is no identifier stands between backticks. Text is read by a small reader of
            our own, never evaluated.
        inputs: names of known inputs u(t) that the right-hand sides may use.

    Raises:
        EquationError: an unknown name (listed, with the allowed ones), an unknown function, text that is no
            formula, a complex or infinite number, or a wrong type.

    >>> eqs = EquationSystem({"S": "-0.3*S*I", "I": "0.3*S*I - 0.1*I"})
    >>> print(eqs)
    d S/dt = -0.3*S*I
    d I/dt = -0.1*I + 0.3*S*I
    """

    def __init__(self, rhs: Mapping[str, sp.Expr | str | float], *, inputs: Sequence[str] = ()) -> None:
        if not isinstance(rhs, Mapping):
            raise EquationError(
                "rhs must map each state to its right-hand side, as in {'x': '-0.5*x'}, "
                f"but is a {type(rhs).__name__}"
            )
        self._states = checked_names(rhs, "state")
        self._inputs = checked_names(inputs, "input")
        if not self._states:
            raise EquationError("rhs is empty; give at least one state and its right-hand side")
        known = set(self._states)
        both = [name for name in self._inputs if name in known]
        if both:
            raise EquationError(f"{both[0]!r} is both a state and an input; rename one of them")
        names = self._states + self._inputs
        self._expressions = tuple(_checked_expression(rhs[state], state, names) for state in self._states)

    # ------------------------------------------------------------------ what it holds
    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states, in order."""
        return self._states

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return self._inputs

    @property
    def rhs(self) -> dict[str, sp.Expr]:
        """Each state's right-hand side over plain symbols named as states and inputs (a fresh dict)."""
        return dict(zip(self._states, self._expressions, strict=True))

    @cached_property
    def template(self) -> Template:
        """The right-hand sides with their floats taken out, in canonical order."""
        return make_template(self._expressions, self._states + self._inputs)

    @cached_property
    def fit_template(self) -> Template:
        """The same with all constants taken out that `refit_constants` fits, whole numbers and fractions too."""
        return make_template(self._expressions, self._states + self._inputs, exact=True)

    def filled(self, template: Template, values: Sequence[float | sp.Expr] | np.ndarray) -> EquationSystem:
        """A template of this system with numbers in it; those that a whole number or fraction meets stay exact."""
        numbers = [
            old if isinstance(new, float) and float(old) == new else new
            for new, old in zip(values, template.written, strict=True)
        ]
        return EquationSystem(dict(zip(self._states, template.fill(numbers), strict=True)), inputs=self._inputs)

    @property
    def constants(self) -> list[float]:
        """All decimal numbers, exponents among them, in canonical order (by structure, not by value)."""
        return list(self.template.values)

    def with_constants(self, values: Sequence[float | sp.Expr] | np.ndarray) -> EquationSystem:
        """The same system with other numbers.

        Args:
            values: as many as `constants`, in that order; exact sympy numbers are allowed and stay exact. A
                zero removes its term and a whole exponent becomes exact, so the new system may have fewer
                constants.

        Raises:
            EquationError: a wrong number of values, or one that is not finite.
        """
        try:
            given = [value if isinstance(value, sp.Expr) else float(value) for value in values]
        except (TypeError, ValueError):
            raise EquationError(f"constants must be a list of numbers, but are {short(values)}") from None
        if len(given) != len(self.template.values):
            raise EquationError(f"the system has {len(self.template.values)} constants, but {len(given)} values came")
        if not all(math.isfinite(float(value)) for value in given):
            raise EquationError(f"constants must be finite, but are {[float(value) for value in given]}")
        return self.filled(self.template, given)

    @cached_property
    def complexity(self) -> int:
        """Nodes of the sympy expression trees, summed over the equations."""
        return sum(1 for expr in self._expressions for _ in sp.preorder_traversal(expr))

    # ------------------------------------------------------------------ how it looks
    def to_text(self, figures: int | None = 4) -> dict[str, str]:
        """Each right-hand side as text that the constructor reads back.

        Args:
            figures: significant figures of the decimal numbers, at least 1; None writes them exactly.
        """
        names = self._states + self._inputs
        return {state: write(expr, names, _checked_figures(figures)) for state, expr in self.rhs.items()}

    def print(self, figures: int = 4) -> None:
        """Print one line per equation, decimal numbers with so many significant figures."""
        print(self._lines(figures))

    def __str__(self) -> str:
        return self._lines(4)

    def __repr__(self) -> str:
        more = f", inputs={self._inputs!r}" if self._inputs else ""
        whole = f"EquationSystem({self.to_text(None)!r}{more})"
        if len(whole) <= _LONGEST:
            return whole
        size = f"{len(self._states)} states, {len(self.constants)} constants"
        return f"<EquationSystem of {size}: {whole[len('EquationSystem(') : _SHOWN]} ...>"

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"

    def _lines(self, figures: int | None) -> str:
        return "\n".join(f"d {quoted(state)}/dt = {text}" for state, text in self.to_text(figures).items())

    def latex(self, figures: int = 4) -> str:
        """The system as a LaTeX ``aligned`` block, decimal numbers with so many significant figures."""
        names = self._states + self._inputs
        lines = [
            rf"\frac{{\mathrm{{d}} {latex_name(state)}}}{{\mathrm{{d}} t}} &= "
            f"{write(expr, names, _checked_figures(figures), LATEX)}"
            for state, expr in self.rhs.items()
        ]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    # ------------------------------------------------------------------ how it compares
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EquationSystem):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return (self._states, self._inputs, self._expressions)

    def same_structure(self, other: EquationSystem) -> bool:
        """Whether both have the same terms, whatever their constants.

        Terms are compared after expansion, rational right-hand sides by their normal form; whole exponents
        are part of the structure (those within 1 % of a whole number count as whole), other exponents are
        constants.
        """
        return self._compare(other, 0.05)[0]

    def same_as(self, other: EquationSystem, rtol: float = 0.05) -> bool:
        """Whether both have the same terms and every constant agrees within ``rtol`` of ``other``'s.

        The measure is that of symbolic regression benchmarks (d'Ascoli et al. 2024 compare after
        simplification).
        """
        if not isinstance(rtol, int | float | np.number) or not rtol >= 0:
            raise OptionError(f"rtol must be a number that is not negative, but is {rtol!r}")
        return self._compare(other, rtol)[1]

    def _compare(self, other: EquationSystem, rtol: float) -> tuple[bool, bool]:
        if not isinstance(other, EquationSystem):
            raise EquationError(f"only an EquationSystem can be compared with one, not {type(other).__name__}")
        if set(self._states) != set(other._states):
            return False, False
        mine, theirs = self.rhs, other.rhs
        structure = constants = True
        for state in self._states:
            alike, close = compare(mine[state], theirs[state], rtol)
            structure, constants = structure and alike, constants and close
        return structure, constants

    # ------------------------------------------------------------------ how it runs
    def to_numpy(self) -> Callable[..., np.ndarray]:
        """The right-hand sides as ``f(t, x, u=None)``, vectorised.

        ``x`` has shape ``(*batch, states)`` and ``u`` ``(*batch, inputs)``; the result has ``(*batch,
        states)``. Columns of frames are taken by name. Time is not used. Outside the domain (fractional power of a
        negative number, division by zero) the result is NaN or infinite, without a warning.
        """
        function = array_function(self._expressions, self._states + self._inputs)
        n_states, n_inputs = len(self._states), len(self._inputs)

        def f(t: float, x: ArrayLike, u: ArrayLike | None = None) -> np.ndarray:
            state = _floats(x, self._states, "x")
            if state.ndim == 0 or state.shape[-1] != n_states:
                raise DataError(f"x must have shape (*batch, {n_states}), but has {state.shape}")
            if not n_inputs:
                return function(state)
            if u is None:
                raise DataError(f"this system has inputs {', '.join(self._inputs)}; pass u, shape (*batch, {n_inputs})")
            given = _floats(u, self._inputs, "u")
            if given.ndim == 0 or given.shape[-1] != n_inputs:
                raise DataError(f"u must have shape (*batch, {n_inputs}), but has {given.shape}")
            batch = np.broadcast_shapes(state.shape[:-1], given.shape[:-1])
            both = [np.broadcast_to(part, (*batch, part.shape[-1])) for part in (state, given)]
            return function(np.concatenate(both, axis=-1))

        return f

    @cached_property
    def _scalar(self) -> Callable[..., list[float]]:
        return scalar_function(self._expressions, self._states + self._inputs)

    def simulate(
        self,
        x0: ArrayLike | Mapping[str, float],
        t: ArrayLike,
        *,
        u: ArrayLike | Callable[[float], ArrayLike] | None = None,
        method: str = "LSODA",
        rtol: float = 1e-8,
        atol: float = 1e-10,
        bound: float | None = None,
        max_evaluations: int = 200_000,
        throw: bool = True,
    ) -> np.ndarray:
        """Integrate from ``x0`` at ``t[0]`` and return the states at all of ``t``, shape ``(time, states)``.

        Args:
            x0: starting state, ``(states,)``, or a mapping, or a pandas series labelled with text, from state to
                value.
            t: times, ``(time,)``, strictly monotonic.
            u: the inputs: values at ``t``, shape ``(time, inputs)`` (or ``(time,)`` for one input; columns of a
                frame or a mapping are taken by name), taken linearly in between, or a function of time that
                returns ``(inputs,)``.
            method: see `neural_arith.solve.with_scipy`, as for the other options.
            rtol: relative tolerance per step.
            atol: absolute tolerance per step.
            bound: largest magnitude a state may reach.
            max_evaluations: budget of evaluations.
            throw: raise when the end is not reached; otherwise fill with NaN from there on.

        Raises:
            DataError: ``x0``, ``t`` or ``u`` does not fit the system.
            IntegrationError: the end was not reached and ``throw`` is true.
        """
        start = self._start(x0)
        scalar = self._scalar
        if not self._inputs:
            if u is not None:
                raise DataError("this system has no inputs; leave u out, or name them: EquationSystem(..., inputs=...)")

            def f(time: float, x: np.ndarray) -> list[float]:
                return scalar(*x.tolist())

        else:
            signal = self._signal(u, np.atleast_1d(to_floats(t, "t")))

            def f(time: float, x: np.ndarray) -> list[float]:
                return scalar(*x.tolist(), *signal(time))

        options: dict[str, Any] = {"method": method, "rtol": rtol, "atol": atol, "bound": bound}
        return solve(f, start, t, max_evaluations=max_evaluations, throw=throw, **options).x

    def _start(self, x0: Any) -> np.ndarray:
        if hasattr(x0, "iloc") and getattr(x0, "ndim", 0) == 1 and any(isinstance(name, str) for name in x0.index):
            if not x0.index.is_unique:
                raise DataError(f"x0 has labels that come twice; give one value for each of {', '.join(self._states)}")
            x0 = x0.to_dict()
        if isinstance(x0, Mapping):
            wrong = set(x0) ^ set(self._states)
            if wrong:
                listed = ", ".join(sorted(map(repr, wrong)))
                raise DataError(f"x0 must name exactly the states {', '.join(self._states)}; not so: {listed}")
            x0 = [x0[state] for state in self._states]
        start = to_floats(x0, "x0")
        if start.shape != (len(self._states),):
            raise DataError(
                f"x0 must have shape ({len(self._states)},) for {', '.join(self._states)}, not {start.shape}"
            )
        return start

    def _signal(
        self, u: ArrayLike | Callable[[float], ArrayLike] | None, times: np.ndarray
    ) -> Callable[[float], list[float]]:
        width = len(self._inputs)
        if u is None:
            raise DataError(f"this system has inputs {', '.join(self._inputs)}; pass u, shape (time, {width})")
        if callable(u):
            call = u

            def called(time: float) -> list[float]:
                value = to_floats(call(time), "u(t)").reshape(-1)
                if value.size != width:
                    raise DataError(f"u(t) returned {value.size} numbers for the {width} inputs {self._inputs}")
                return value.tolist()

            return called
        table = to_floats(in_order(u, self._inputs, "u"), "u")
        table = table[:, None] if table.ndim == 1 and width == 1 else table
        if table.shape != (times.size, width):
            raise DataError(f"u must have shape ({times.size}, {width}), values at t, but has {table.shape}")
        if not np.all(np.isfinite(table)):
            raise DataError("u must be finite at every time; fill gaps in the inputs first")
        forward = times.size < 2 or times[-1] > times[0]
        knots, table = (times, table) if forward else (times[::-1], table[::-1])
        columns = [np.ascontiguousarray(column) for column in table.T]
        return lambda time: [float(np.interp(time, knots, column)) for column in columns]

    # ------------------------------------------------------------------ where it goes
    def to_code(self, language: str = "numpy") -> str:
        """The source text of a complete function that evaluates the right-hand sides.

        Args:
            language: ``"numpy"``, ``"julia"`` or ``"c"``.

        Raises:
            OptionError: another language.
        """
        return write_code(self, language)

    def to_torch(self) -> torch.nn.Module:
        """The right-hand sides as a module, ``(*batch, states + inputs) -> (*batch, states)``, in float64.

        When every right-hand side is a sum of power-unit products (powers, exponentials of linear, cosines
        and sines of linear expressions) this is an ``nn.Sequential`` of a power layer and a `NAU` whose
        weights are exactly the constants; otherwise a module with the constants as parameters.
        """
        return build_module(self)

    def save(self, path: str | Path) -> None:
        """Write the system to a readable, versioned JSON file, which `load` reads back to the last bit."""
        save(self, path)

    def __reduce__(self) -> tuple:
        return (_restore, (self.rhs, self._inputs))


def load(path: str | Path) -> EquationSystem:
    """Read a system that `save` (or a person with an editor) wrote.

    Formulas go through the same reader as text given to `EquationSystem`: nothing in the file is ever
    executed.

    Args:
        path: the file.

    Raises:
        EquationError: the file is missing, is not such JSON, has a newer version, or holds a wrong formula
            or more than can be worked with.

    Examples:
        >>> import tempfile
        >>> import neural_arith as na
        >>> from neural_arith.equations import save
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(na.EquationSystem({"x": "-0.5*x"}), f"{folder}/decay.json")
        ...     print(na.load(f"{folder}/decay.json"))
        d x/dt = -0.5*x
    """
    texts, inputs = read_file(path)
    try:
        return EquationSystem(texts, inputs=inputs)
    except EquationError as error:
        raise EquationError(f"{path}: {error}") from None


def _restore(rhs: dict[str, sp.Expr], inputs: tuple[str, ...]) -> EquationSystem:
    return EquationSystem(rhs, inputs=inputs)


def _floats(values: Any, names: Sequence[str], what: str) -> np.ndarray:
    """An array with one column for each name; a plain array is taken as it is, for it comes in loops."""
    if type(values) is np.ndarray and values.dtype == np.float64:
        return values
    return to_floats(in_order(values, names, what), what)


def _checked_figures(figures: int | None) -> int | None:
    if figures is not None and (not isinstance(figures, int) or figures < 1):
        raise OptionError(f"figures must be a whole number from 1 up, or None for all, but is {figures!r}")
    return figures


def _checked_expression(value: object, state: str, names: tuple[str, ...]) -> sp.Expr:
    where = f"the right-hand side of {quoted(state)}"
    if isinstance(value, str):
        try:
            expr = read_expression(value, names)
        except EquationError as error:
            raise EquationError(f"{where}: {error}") from None
        except (OverflowError, RecursionError) as error:
            raise EquationError(f"{where}: {value[:80]!r} is too large to be read") from error
    elif isinstance(value, sp.Expr):
        expr = value
    elif isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        expr = sp.Integer(int(value)) if isinstance(value, int | np.integer) else sp.Float(float(value))
    else:
        raise EquationError(
            f"{where} must be text, a number or a sympy expression, but is a {type(value).__name__}; "
            "for instance '0.5*x' or 0.5*sympy.Symbol('x')"
        )
    return _normalised(expr, where, names)


def _normalised(expr: sp.Expr, where: str, names: tuple[str, ...]) -> sp.Expr:
    """Plain symbols, floats of double precision, no named constants, exact whole and half exponents."""
    unknown = sorted({str(symbol) for symbol in expr.free_symbols} - set(names))
    if unknown:
        raise EquationError(
            f"{where} holds unknown {listed(unknown)}; allowed names: {listed(names)} "
            "(give a known signal, time too, as an input)"
        )

    def walk(node: Any) -> Any:
        if isinstance(node, sp.Symbol):
            return sp.Symbol(node.name)
        if isinstance(node, sp.Float | sp.NumberSymbol):
            number = float(node)
            if not math.isfinite(number):
                raise EquationError(f"{where} holds the number {node}, which is not finite")
            return sp.Float(number)
        if isinstance(node, sp.Integer | sp.Rational):
            if max(abs(node.p), node.q).bit_length() > MAX_BITS:
                raise EquationError(f"{where} holds a whole number or fraction that is too large")
            return node
        if isinstance(node, sp.Pow):
            base, exponent = (walk(part) for part in node.args)
            return sp.Pow(base, exact_exponent(exponent))
        if isinstance(node, sp.Piecewise):
            return walk(_without_cases(node, where))
        if isinstance(node, sp.Add | sp.Mul) or type(node).__name__ in _CALLS:
            return node.func(*[walk(part) for part in node.args])
        raise EquationError(
            f"{where} holds {node} ({type(node).__name__}), which has no place in a right-hand side; "
            f"use numbers, names, + - * / ** and {', '.join(FUNCTION_NAMES)}"
        )

    try:
        plain = walk(expr)
        if plain.atoms(sp.Float) != expr.atoms(sp.Float):
            plain = walk(plain)  # numbers that only now came together
    except (OverflowError, RecursionError) as error:
        raise EquationError(f"{where} is too large to be worked with") from error
    if plain.has(sp.nan, sp.zoo, sp.oo, -sp.oo, sp.I):
        raise EquationError(f"{where} comes out as {plain}, which is not a real finite formula")
    return plain


def _without_cases(node: Any, where: str) -> sp.Expr:
    """A case distinction on the sign of a formula, as power units write their phase, by means of ``sign``.

    ``a`` where z < 0 and ``b`` elsewhere is ``b + (a - b)*(1 - sign(z))/2``, except at z = 0, where it is
    halfway.
    """
    if len(node.args) == 2:
        (first, condition), (second, rest) = (pair.args for pair in node.args)
        if rest == sp.true and isinstance(condition, sp.Rel):
            difference = _difference(condition)
            if isinstance(condition, sp.Lt | sp.Le):
                difference = -difference
            if isinstance(condition, sp.Lt | sp.Le | sp.Gt | sp.Ge):
                share = (1 + sp.sign(difference)) / 2
                return sp.Add(sp.Mul(first, share), sp.Mul(second, 1 - share))
    raise EquationError(f"{where} holds a case distinction other than on one sign: {node}")


def _difference(condition: Any) -> sp.Expr:
    return condition.lhs - condition.rhs


def exact_exponent(exponent: sp.Expr, tolerance: float = 1e-12) -> sp.Expr:
    """A float exponent within ``tolerance`` of a whole or half number, made exact; others unchanged."""
    if isinstance(exponent, sp.Float):
        double = 2 * float(exponent)
        if abs(double) < 2000 and abs(double - round(double)) <= 2 * tolerance:
            return sp.Rational(round(double), 2)
    return exponent
