"""Names of states and inputs: any text that a CSV header may hold, and its identifier in code.

The rule. A name is kept as it was given and shown as it was given. In equations written as text it stands
bare when it is an identifier (``S``, ``beta``, ``lambda``) and between backticks when it is not (`` `CO2
(ppm)` ``). In exported code it becomes a safe ASCII identifier (``CO2_ppm``), never a keyword or a function
of the language.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence

from neural_arith.errors import EquationError

FUNCTION_NAMES = (*("exp", "log", "sin", "cos", "tan", "cot", "sqrt", "Abs", "sign", "tanh", "sinh", "cosh", "asinh"),)
"""The functions an equation may use, by the names they have in text."""

MAX_NAMES = 5000
"""Most states, and most inputs, of one system."""

_C_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int "
    "long register restrict return short signed sizeof static struct switch typedef union unsigned void "
    "volatile while fabs pow main y0 y1 yn j0 j1 jn gamma lgamma tgamma erf"
)
_JULIA_WORDS = (
    "abstract baremodule begin const do else elseif end export false function global let local macro module "
    "mutable primitive quote struct true using where missing nothing pi im e"
)
_OWN_WORDS = "t state inputs derivative rhs np abs sign_of real_power real_root real_log"
_RESERVED = frozenset(
    [*keyword.kwlist, *keyword.softkwlist, *_C_WORDS.split(), *_JULIA_WORDS.split(), *_OWN_WORDS.split()]
) | frozenset(FUNCTION_NAMES)


def checked_names(names: Iterable[object], what: str) -> tuple[str, ...]:
    """Return the names as a tuple of distinct usable texts.

    Args:
        names: candidate names.
        what: what they name, for the message ("state", "input").

    Raises:
        EquationError: a name is not text, is empty, holds a backtick or a line break, or comes twice.
    """
    if isinstance(names, str):
        raise EquationError(f"{what} names must be a sequence of texts, not one text; write ({names!r},)")
    if not isinstance(names, Iterable):
        raise EquationError(f"{what} names must be a sequence of texts, but are a {type(names).__name__}")
    seen: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str):
            raise EquationError(f"{what} names must be text, but {name!r} is a {type(name).__name__}")
        if not name.strip() or "`" in name or not name.isprintable():
            raise EquationError(
                f"{what} name {name!r} cannot be used: it must be printable, not empty, "
                "and without backticks; rename it"
            )
        if name in seen:
            raise EquationError(f"{what} name {name!r} comes twice; names must differ")
        seen[name] = None
    if len(seen) > MAX_NAMES:
        raise EquationError(f"there are {len(seen)} {what} names; at most {MAX_NAMES} can be worked with")
    return tuple(seen)


def quoted(name: str) -> str:
    """The name as it stands in text: bare when an identifier, else between backticks.

    >>> quoted("hare"), quoted("in bed")
    ('hare', '`in bed`')
    """
    return name if re.fullmatch(r"[^\W\d]\w*", name) else f"`{name}`"


def listed(names: Sequence[str], most: int = 40) -> str:
    """The first of many names, as they stand in text."""
    return ", ".join(map(quoted, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def code_names(names: Sequence[str]) -> dict[str, str]:
    """Map names to distinct ASCII identifiers that no target language reserves.

    >>> code_names(["S", "CO2 (ppm)", "lambda", "2nd"])
    {'S': 'S', 'CO2 (ppm)': 'CO2_ppm', 'lambda': 'lambda_', '2nd': 'v_2nd'}
    """
    taken = {name for name in names if _is_plain(name)}
    mapped: dict[str, str] = {}
    for name in names:
        if _is_plain(name):
            mapped[name] = name
            continue
        safe = "".join(c if c.isascii() else f"u{ord(c):x}" for c in name)
        safe = re.sub(r"\W+", "_", safe).strip("_")
        safe = f"v_{safe}" if not safe or safe[0].isdigit() else safe
        if safe in _RESERVED:
            safe += "_"
        candidate, number = safe, 2
        while candidate in taken:
            candidate, number = f"{safe}_{number}", number + 1
        taken.add(candidate)
        mapped[name] = candidate
    return mapped


def _is_plain(name: str) -> bool:
    # leading underscores are left to the languages and to our own temporaries
    return bool(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)) and name not in _RESERVED
