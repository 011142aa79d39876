"""Settings of a search, checked when they are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from neural_arith.discovery.effort import DEFAULT, Effort
from neural_arith.discovery.measurements.knowledge import Knowledge
from neural_arith.errors import OptionError
from neural_arith.fit.noise import NoiseKind
from neural_arith.terms.prior import Prior

Progress = Callable[[str], None]
"""Told what is being done, one line at a time."""


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True)
class Options:
    """Settings of a search; one default for every system.

    Attributes:
        noise: noise model, or "auto" to choose it from the data.
        max_units: most units the population fits in one equation.
        restarts: members of the population for each equation and number of units.
        max_points: samples used, of all runs together; longer series are thinned evenly, while inputs
            keep their steps and bends.
        time_budget: seconds from call to return, loading or compiling the solver aside; the best found by then is
            returned. None for no limit.
        random_state: seed of the random starts; the same seed gives the same answer.
        n_jobs: threads; -1 for all cores, None for what ``joblib.parallel_config`` says (one without it). A backend
            named there does the work instead of threads. The answer depends on none of this.
        checkpoint: folder that keeps the expensive steps; a search repeated with it goes on where it stopped.
        round_constants: whether the constants of the choice are rounded where the likelihood allows it.
        knowledge: what is known about the equations beforehand.

    Examples:
        >>> Options(time_budget=60).max_points
        1000
        >>> Options(restarts=0)
        Traceback (most recent call last):
        ...
        neural_arith.errors.OptionError: restarts must be a whole number from 1, got 0
    """

    noise: NoiseKind | Literal["auto"] = "auto"
    max_units: int = 4
    restarts: int = 64
    max_points: int = 1000
    time_budget: float | None = None
    random_state: int = 0
    n_jobs: int | None = -1
    checkpoint: str | os.PathLike[str] | None = None
    round_constants: bool = True
    knowledge: Knowledge = field(default_factory=Knowledge)
    prior: Prior = field(default_factory=Prior)
    effort: Effort = DEFAULT

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, least in (("max_units", 1), ("restarts", 1), ("max_points", 20)):
            value = getattr(self, name)
            if not _is_whole(value) or value < least:
                raise OptionError(f"{name} must be a whole number from {least}, got {value!r}")
        budget = self.time_budget
        number = isinstance(budget, int | float | np.number) and not isinstance(budget, bool)
        if budget is not None and not (number and budget > 0):
            raise OptionError(f"time_budget must be positive seconds or None, got {budget!r}")
        jobs = self.n_jobs
        if jobs is not None and (not _is_whole(jobs) or jobs == 0 or jobs < -1):
            raise OptionError(
                f"n_jobs must be a positive number of threads, -1 for all cores or None for joblib's own setting, "
                f"got {jobs!r}"
            )
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | os.PathLike):
            raise OptionError(f"checkpoint must be the path of a folder or None, got {self.checkpoint!r}")
        if self.checkpoint is not None and not os.fspath(self.checkpoint).strip():
            raise OptionError("checkpoint is empty; name a folder, or give None to keep nothing")
        seed = self.random_state
        if not _is_whole(seed) or not 0 <= seed < 2**63:
            raise OptionError(f"random_state must be a whole number from 0 to 2**63 - 1, or None, got {seed!r}")
        if not isinstance(self.round_constants, bool):
            raise OptionError(f"round_constants must be True or False, got {self.round_constants!r}")
        for name, kind, said in (("knowledge", Knowledge, "a"), ("prior", Prior, "a"), ("effort", Effort, "an")):
            if not isinstance(getattr(self, name), kind):
                raise OptionError(f"{name} must be {said} {kind.__name__}, got {getattr(self, name)!r}")


def options_from(given: Mapping[str, Any]) -> Options:
    """Settings by name, with the usual ones where None is given for knowledge, prior or effort.

    ``random_state=None`` draws a seed, which the settings then hold.

    Raises:
        OptionError: a name is unknown, or a value out of range.
    """
    known = [option.name for option in fields(Options)]
    for name in given:
        if name not in known:
            raise OptionError(f"there is no option {name!r}; the options are {', '.join(known)}")
    settings = dict(given)
    if settings.get("random_state", 0) is None:
        settings["random_state"] = int(np.random.default_rng().integers(2**31))
    for name in ("knowledge", "prior", "effort"):
        if settings.get(name, ...) is None:
            del settings[name]
    return Options(**settings)
