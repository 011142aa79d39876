"""Whether two formulas are the same: a normal form with real exponents, compared term by term.

Every formula becomes a quotient of two sums; each term is a number times a product of generators to real
powers. Generators are variables, exponentials ``exp(m)`` of a product ``m`` (so ``exp(-2 x)`` is ``exp(x)``
to the power -2), sines and cosines of products (angle sums and multiples are expanded, sin**2 becomes 1 -
cos**2), logarithms and magnitudes of variables, and powers of sums. Logarithms of products are split, which
is exact for positive variables only.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import sympy as sp

from neural_arith.equations.constants import Order, make_template

Generator = tuple
Monomial = tuple[tuple[Generator, float], ...]
Polynomial = dict[Monomial, float]
Frozen = tuple[tuple[Monomial, float], ...]

_MAX_TERMS = 600
_MAX_POWER = 12
_ONE: Monomial = ()


class _TooLarge(Exception):
    """The normal form grew out of hand; only equal trees are then called the same."""


def compare(found: sp.Expr, true: sp.Expr, rtol: float) -> tuple[bool, bool]:
    """Compare two formulas over the same variables.

    Args:
        found: one formula.
        true: the other, to whose constants ``rtol`` refers.
        rtol: relative tolerance of constants.

    Returns:
        Whether the terms are the same, and whether the constants agree as well.
    """
    if found == true:
        return True, True
    alike, close = _same_tree(found, true, rtol)
    if close:
        return True, True
    try:
        f, g = _normal(found), _normal(true)
        num_f, den_f = _quotient(f)
        num_g, den_g = _quotient(g)
        top, bottom = _match(num_f, num_g, rtol), _match(den_f, den_g, rtol)
        if top[0] and bottom[0]:
            return True, top[1] and bottom[1]
        # the same function may stand there over another, unreduced denominator
        crossed = _match(_times(num_f, den_g), _times(num_g, den_f), min(rtol, 1e-6))[1]
        return alike or crossed, crossed
    except (_TooLarge, OverflowError, ZeroDivisionError):
        return alike, False


def _same_tree(found: sp.Expr, true: sp.Expr, rtol: float) -> tuple[bool, bool]:
    """Compare as written, without algebra: a constant that stands twice need not be equal in both places."""
    names = sorted(str(symbol) for symbol in found.free_symbols | true.free_symbols)
    order = Order(names)
    if order.skeleton(found) != order.skeleton(true):
        return False, False
    mine, theirs = make_template([found], names).values, make_template([true], names).values
    return True, all(abs(a - b) <= rtol * abs(b) for a, b in zip(mine, theirs, strict=True))


# ---------------------------------------------------------------------- sums of products
def _monomial(powers: dict[Generator, float]) -> Monomial:
    return tuple(sorted(((g, round(e, 12)) for g, e in powers.items() if abs(e) > 1e-12), key=repr))


def _collect(parts: list[tuple[Monomial, float]]) -> Polynomial:
    """Add up equal monomials; what is left of a cancellation by rounding goes."""
    total: dict[Monomial, float] = {}
    size: dict[Monomial, float] = {}
    for monomial, value in parts:
        total[monomial] = total.get(monomial, 0.0) + value
        size[monomial] = size.get(monomial, 0.0) + abs(value)
    if len(total) > _MAX_TERMS:
        raise _TooLarge
    if not all(math.isfinite(value) for value in total.values()):
        raise OverflowError
    return {m: v for m, v in total.items() if abs(v) > 1e-12 * size[m]}


def _add(a: Polynomial, b: Polynomial) -> Polynomial:
    return _collect([*a.items(), *b.items()])


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    if len(a) * len(b) > _MAX_TERMS**2 // 8:
        raise _TooLarge
    parts: list[tuple[Monomial, float]] = []
    for (m, v), (n, w) in itertools.product(a.items(), b.items()):
        powers = dict(m)
        for generator, exponent in n:
            powers[generator] = powers.get(generator, 0.0) + exponent
        parts += _reduced(powers, v * w)
    return _collect(parts)


def _reduced(powers: dict[Generator, float], value: float) -> list[tuple[Monomial, float]]:
    """Rewrite even powers of magnitudes, and squares of sines."""
    for generator, exponent in list(powers.items()):
        if generator[0] == "abs" and exponent % 2 == 0 and generator[1][0] == "x":
            del powers[generator]
            powers[generator[1]] = powers.get(generator[1], 0.0) + exponent
    for generator, exponent in powers.items():
        if generator[0] == "sin" and exponent >= 2 and exponent == int(exponent):
            rest = powers | {generator: exponent - 2}
            cosine = ("cos", *generator[1:])
            more = rest | {cosine: rest.get(cosine, 0.0) + 2}
            return _reduced(rest, value) + _reduced(more, -value)
    return [(_monomial(powers), value)]


def _power(a: Polynomial, n: int) -> Polynomial:
    out: Polynomial = {_ONE: 1.0}
    for _ in range(n):
        out = _times(out, a)
    return out


def _freeze(a: Polynomial) -> Frozen:
    return tuple(sorted(((m, float(f"{v:.12g}")) for m, v in a.items()), key=repr))


def _split(a: Polynomial) -> tuple[float, Monomial, Polynomial]:
    """A polynomial as number * monomial * primitive rest (leading number of size 1, smallest exponents 0)."""
    generators = {g for m in a for g, _ in m}
    least = {g: min(dict(m).get(g, 0.0) for m in a) for g in generators}
    lowered = {_monomial({g: dict(m).get(g, 0.0) - e for g, e in least.items()}): value for m, value in a.items()}
    scale = abs(lowered[_leading(lowered)])
    return scale, _monomial(least), {m: v / scale for m, v in lowered.items()}


def _leading(a: Polynomial) -> Monomial:
    return max(a, key=lambda m: (bool(m), repr(_shape(m))))


# ---------------------------------------------------------------------- quotients
class _Normal:
    """A sum over a product of primitive sums, each with its multiplicity."""

    def __init__(self, top: Polynomial, below: dict[Frozen, int] | None = None) -> None:
        self.top = top
        self.below = below or {}

    def __add__(self, other: _Normal) -> _Normal:
        common = {f: max(self.below.get(f, 0), other.below.get(f, 0)) for f in {**self.below, **other.below}}
        tops = [_times(part.top, _expand({f: n - part.below.get(f, 0) for f, n in common.items()}))
                for part in (self, other)]  # fmt: skip
        return _Normal(_add(*tops), common)

    def __mul__(self, other: _Normal) -> _Normal:
        below = dict(self.below)
        for f, n in other.below.items():
            below[f] = below.get(f, 0) + n
        return _Normal(_times(self.top, other.top), below)

    def inverse(self) -> _Normal:
        if not self.top:
            raise ZeroDivisionError
        scale, monomial, rest = _split(self.top)
        one = {_monomial({g: -e for g, e in monomial}): 1 / scale}
        top = _times(one, _expand(self.below))
        if len(rest) == 1:
            return _Normal({m: v / next(iter(rest.values())) for m, v in top.items()})
        return _Normal(top, {_freeze(rest): 1})

    def to_power(self, n: int) -> _Normal:
        return _Normal(_power(self.top, n), {f: n * k for f, k in self.below.items()})


def _expand(factors: dict[Frozen, int]) -> Polynomial:
    out: Polynomial = {_ONE: 1.0}
    for frozen, n in factors.items():
        out = _times(out, _power(dict(frozen), n))
    return out


def _quotient(a: _Normal) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator, scaled and shifted so that equal quotients look equal."""
    top, bottom = a.top, _expand(a.below)
    if not top:
        return {}, {_ONE: 1.0}
    generators = {g for m in (*top, *bottom) for g, _ in m}
    least = {g: min(dict(m).get(g, 0.0) for m in (*top, *bottom)) for g in generators}

    def lower(part: Polynomial) -> Polynomial:
        return {_monomial({g: dict(m).get(g, 0.0) - e for g, e in least.items()}): v for m, v in part.items()}

    top, bottom = lower(top), lower(bottom)
    scale = bottom[_leading(bottom)]
    return {m: v / scale for m, v in top.items()}, {m: v / scale for m, v in bottom.items()}


# ---------------------------------------------------------------------- from sympy
@lru_cache(maxsize=2048)
def _normal(expr: Any) -> _Normal:
    if isinstance(expr, sp.Number):
        return _number(float(expr))
    if isinstance(expr, sp.Symbol):
        return _Normal({((("x", expr.name), 1.0),): 1.0})
    if isinstance(expr, sp.Add | sp.Mul):
        out = _normal(expr.args[0])
        for part in expr.args[1:]:
            out = out + _normal(part) if isinstance(expr, sp.Add) else out * _normal(part)
        return out
    if isinstance(expr, sp.Pow):
        base, exponent = expr.args
        if isinstance(exponent, sp.Number):
            return _raise(_normal(base), float(exponent))
        return _normal(sp.exp(exponent * sp.log(base)))
    argument = expr.args[0]
    name = type(expr).__name__
    if name in ("sinh", "cosh", "tanh"):
        return _normal(expr.rewrite(sp.exp))
    inner = _normal(argument)
    if name in ("tan", "cot"):
        sine, cosine = _trig("sin", inner), _trig("cos", inner)
        return sine * cosine.inverse() if name == "tan" else cosine * sine.inverse()
    if name in ("sin", "cos"):
        return _trig(name, inner)
    if name == "exp":
        return _exponential(inner)
    if name == "log":
        return _logarithm(inner)
    if name in ("Abs", "sign"):
        magnitude = _magnitude(inner)
        return magnitude if name == "Abs" else magnitude * inner.inverse()
    return _generator((name, *_key(inner)))


def _number(value: float) -> _Normal:
    return _Normal({_ONE: value} if value else {})


def _generator(generator: Generator, exponent: float = 1.0) -> _Normal:
    return _Normal({((generator, exponent),): 1.0})


def _key(a: _Normal) -> tuple[Frozen, Frozen]:
    top, bottom = _quotient(a)
    return _freeze(top), _freeze(bottom)


def _raise(base: _Normal, exponent: float) -> _Normal:
    whole = round(exponent)
    if abs(exponent - whole) < 1e-9 and abs(whole) <= _MAX_POWER:
        if whole < 0:
            base = base.inverse()
        return base.to_power(abs(whole))
    if not base.top:
        raise ZeroDivisionError
    scale, monomial, rest = _split(base.top)
    powers: dict[Generator, float] = {g: e * exponent for g, e in monomial}
    # (x + y)**(3/2) becomes (x + y)*(x + y)**(1/2), as expanding does; other exponents are constants and
    # stay whole
    halves = abs(2 * exponent - round(2 * exponent)) < 1e-9 and abs(exponent) <= _MAX_POWER
    kept = exponent - math.trunc(exponent) if halves else exponent
    if not (len(rest) == 1 and next(iter(rest.values())) > 0):
        powers[("pow", _freeze(rest))] = kept
    else:
        halves = False
    for frozen, n in base.below.items():
        powers[("pow", frozen)] = powers.get(("pow", frozen), 0.0) - n * exponent
    out = _Normal({_monomial(powers): scale**exponent})
    return out * _raise(_Normal(rest), math.trunc(exponent)) if halves else out


def _exponential(inner: _Normal) -> _Normal:
    if inner.below:
        return _generator(("expq", *_key(inner)))
    scale, powers = 0.0, {}
    for monomial, value in inner.top.items():
        if monomial == _ONE:
            scale = value
        else:
            powers[("exp", monomial)] = value
    return _Normal({_monomial(powers): math.exp(scale)})


def _logarithm(inner: _Normal) -> _Normal:
    if not inner.top:
        raise ZeroDivisionError
    scale, monomial, rest = _split(inner.top)
    if len(rest) == 1 and next(iter(rest.values())) < 0:
        return _generator(("log", *_key(inner)))
    out = _number(math.log(scale))
    for generator, exponent in monomial:
        if generator[0] == "exp":
            out = out + _Normal({generator[1]: exponent})
        else:
            out = out + _Normal({((("log", generator), 1.0),): exponent})
    if len(rest) > 1:
        out = out + _generator(("log", ("sum", _freeze(rest))))
    for frozen, n in inner.below.items():
        out = out + _Normal({((("log", ("sum", frozen)), 1.0),): -float(n)})
    return out


def _magnitude(inner: _Normal) -> _Normal:
    if not inner.top:
        return inner
    if inner.below or len(inner.top) > 1:
        scale, monomial, rest = _split(inner.top)
        flipped = rest[_leading(rest)] < 0
        rest = {m: -v if flipped else v for m, v in rest.items()}
        out = _generator(("absq", _freeze(rest), tuple(sorted(inner.below.items(), key=repr))))
        return out * _magnitude(_Normal({monomial: scale}))
    ((monomial, value),) = inner.top.items()
    powers: dict[Generator, float] = {}
    for generator, exponent in monomial:
        plain = generator[0] in ("exp", "abs", "absq", "pow")
        powers[generator if plain else ("abs", generator)] = exponent
    return _times_magnitude(powers, abs(value))


def _times_magnitude(powers: dict[Generator, float], value: float) -> _Normal:
    return _Normal(_collect(_reduced(powers, value)))


def _trig(name: str, inner: _Normal) -> _Normal:
    """Sine or cosine with the sum in its argument taken apart."""
    if inner.below or len(inner.top) > 5:
        return _generator((name, "whole", *_key(inner)))
    sine, cosine = _number(0.0), _number(1.0)
    for monomial, value in inner.top.items():
        s, c = _single_angle(monomial, value)
        sine, cosine = sine * c + cosine * s, cosine * c + sine * s * _number(-1.0)
    return sine if name == "sin" else cosine


def _single_angle(monomial: Monomial, value: float) -> tuple[_Normal, _Normal]:
    if monomial == _ONE:
        s, c = math.sin(value), math.cos(value)
        return _number(s if abs(s) > 1e-12 else 0.0), _number(c if abs(c) > 1e-12 else 0.0)
    sign, size = math.copysign(1.0, value), abs(value)
    whole = round(size)
    if not (1 <= whole <= 6 and abs(size - whole) <= 0.01 * whole):
        s, c = (_generator((name, "angle", float(f"{size:.12g}"), monomial)) for name in ("sin", "cos"))
        return s * _number(sign), c
    s1, c1 = (_generator((name, "angle", 1.0, monomial)) for name in ("sin", "cos"))
    s, c = s1, c1
    for _ in range(whole - 1):
        s, c = s * c1 + c * s1, c * c1 + s * s1 * _number(-1.0)
    return s * _number(sign), c


# ---------------------------------------------------------------------- shapes and numbers
def _shape(part: object) -> object:
    """What of a monomial is structure: all but floats, and whole exponents (those within 1 % of one)."""
    if isinstance(part, float):
        return "#"
    if isinstance(part, tuple):
        if len(part) == 2 and isinstance(part[0], tuple) and isinstance(part[1], float):
            inner, number = part
            if inner and isinstance(inner[0], str) and inner[0] not in ("exp",) and _whole(number):
                return (_shape(inner), round(number))
        return tuple(_shape(p) for p in part)
    return part


def _whole(number: float) -> bool:
    return round(number) != 0 and abs(number - round(number)) <= 0.01 * abs(round(number))


def _numbers(part: object) -> list[float]:
    if isinstance(part, float):
        return [part]
    if isinstance(part, tuple):
        return [number for p in part for number in _numbers(p)]
    return []


def _match(a: Polynomial, b: Polynomial, rtol: float) -> tuple[bool, bool]:
    """Whether two sums have terms of the same shapes, and whether their numbers agree."""
    groups: dict[str, tuple[list[list[float]], list[list[float]]]] = {}
    for side, polynomial in enumerate((a, b)):
        for monomial, value in polynomial.items():
            groups.setdefault(repr(_shape(monomial)), ([], []))[side].append([*_numbers(monomial), value])
    if any(len(mine) != len(theirs) for mine, theirs in groups.values()):
        return False, False
    return True, all(_assigned(mine, theirs, rtol) for mine, theirs in groups.values())


def _assigned(mine: list[list[float]], theirs: list[list[float]], rtol: float) -> bool:
    """Whether terms of one shape can be paired so that all numbers agree."""

    def close(a: list[float], b: list[float]) -> bool:
        return all(abs(x - y) <= rtol * max(abs(y), 1e-12) for x, y in zip(a, b, strict=True))

    if len(mine) <= 4:
        orders = itertools.permutations(theirs)
    else:
        mine, orders = sorted(mine), iter([tuple(sorted(theirs))])
    return any(all(close(a, b) for a, b in zip(mine, order, strict=True)) for order in orders)
