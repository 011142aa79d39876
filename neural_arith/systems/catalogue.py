"""Reading the tables of systems: which there are, and one of them by its slug."""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from neural_arith.errors import OptionError
from neural_arith.systems.system import System

SUITES = ("odebench", "powerlaw", "reactions", "real")
"""The suites: a published collection of 63, our 24 with real powers and ratios, 2 of reactions, 3 measured series."""


def names(suite: str | None = None) -> tuple[str, ...]:
    """List the slugs of the systems.

    Args:
        suite: "odebench", "powerlaw", "reactions" or "real"; None for all.

    Returns:
        The slugs, in the order of their numbers.

    Raises:
        OptionError: there is no such suite.

    Examples:
        >>> from neural_arith import systems
        >>> len(systems.names("odebench")), systems.names("real")
        (63, ('lynx_hare', 'yeast_growth', 'boarding_school_flu'))
    """
    if suite is not None and suite not in SUITES:
        raise OptionError(f"suite must be one of {', '.join(SUITES)}, or None for all, not {suite!r}")
    return tuple(system.slug for system in _systems().values() if suite in (None, system.suite))


def get(name: str) -> System:
    """Fetch a system of the catalogue.

    Args:
        name: its slug, one of `names`.

    Returns:
        The system.

    Raises:
        OptionError: there is no such system; the message has close matches.

    Examples:
        >>> from neural_arith import systems
        >>> print(systems.get("rc_charging").equations)
        d charge/dt = 0.303 - 0.3608*charge
    """
    systems = _systems()
    if name in systems:
        return systems[name]
    close = difflib.get_close_matches(str(name).lower().replace(" ", "_").replace("-", "_"), systems, n=4, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise OptionError(f"there is no system {name!r}; {hint}systems.names() lists all {len(systems)}")


@cache
def _systems() -> dict[str, System]:
    loaded = {}
    for suite in SUITES:
        table = tomllib.loads(
            files("neural_arith.systems").joinpath("tables", f"{suite}.toml").read_text(encoding="utf-8")
        )
        for row in table["system"]:
            loaded[row["slug"]] = _system(suite, row, table)
    return loaded


def _system(suite: str, row: dict[str, Any], defaults: dict[str, Any]) -> System:
    starts = np.array(row["initial"], dtype=np.float64)
    starts.setflags(write=False)
    states = tuple(row["states"])
    first, last = row["span"] if "span" in row else defaults["span"]
    return System(
        name=row["name"],
        slug=row["slug"],
        suite=suite,
        number=row["number"],
        states=states,
        units=tuple(row.get("units", ("",) * len(states))),
        formulas=tuple(row.get("equations", ())),
        initial_states=starts,
        span=(float(first), float(last)),
        n_points=row["n_points"] if "n_points" in row else defaults["n_points"],
        source=row["source"],
        description=row["description"],
        file=row.get("file", ""),
    )
