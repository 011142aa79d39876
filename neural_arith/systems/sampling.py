"""From a true solution to what an experiment would have recorded: starts, times, noise and losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from neural_arith.errors import OptionError
from neural_arith.solve import solve

if TYPE_CHECKING:
    from neural_arith.equations import EquationSystem

NOISE_KINDS = ("multiplicative", "additive")

_RTOL, _ATOL = 1e-10, 1e-12

# A solver may try points a little below zero, where a fractional power has no value, and still end at zero.
_BELOW_ZERO = 1e-6


def chosen_times(n_points: int | None, t: ArrayLike | None, span: tuple[float, float], usual: int) -> np.ndarray:
    """Settle the times of a sample.

    Args:
        n_points: how many, equally spaced over ``span``; None for ``usual``.
        t: the times themselves, or None.
        span: first and last time.
        usual: the number of points where none is asked for.

    Returns:
        Times, shape ``(time,)``.

    Raises:
        OptionError: both are given, too few points, or times that do not increase.
    """
    if t is None:
        count = usual if n_points is None else n_points
        if count != int(count) or count < 2:
            raise OptionError(f"n_points must be a whole number of at least 2, got {n_points!r}")
        return np.linspace(*span, int(count))
    if n_points is not None:
        raise OptionError("give n_points or t, not both")
    times = np.asarray(t, dtype=np.float64)
    if times.ndim != 1 or times.size < 2 or not np.all(np.isfinite(times)) or not np.all(np.diff(times) > 0):
        raise OptionError("t must hold at least two finite, strictly increasing times in one dimension")
    return times


def chosen_starts(initial: Any, known: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Settle the initial states of a sample.

    Args:
        initial: an index into ``known``, a state, an array of states, or a list of indices and states.
        known: the starts of the system, shape ``(starts, states)``.

    Returns:
        For each run the number of its noise stream, which differs between runs, and its state.

    Raises:
        OptionError: no such index, or not one finite number per state.
    """
    if isinstance(initial, (list, tuple)):
        one_state = bool(initial) and all(isinstance(item, (float, np.floating)) for item in initial)
        items = [initial] if one_state else list(initial)
    elif np.ndim(initial) == 2:
        items = list(np.asarray(initial))
    else:
        items = [initial]
    if not items:
        raise OptionError("initial is an empty list; give at least one index or state")
    starts: list[tuple[int, np.ndarray]] = []
    used: set[int] = set()
    for item in items:
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            if not 0 <= item < len(known):
                raise OptionError(
                    f"there are {len(known)} initial states, numbered from 0; got {item}. "
                    "To give a state itself, write an array or decimal numbers"
                )
            stream, state = int(item), known[item]
        else:
            stream, state = len(known) + len(starts), _state(item, known.shape[1])
        while stream in used:
            stream += len(known) + len(items)
        used.add(stream)
        starts.append((stream, state))
    return starts


def _state(item: Any, n_states: int) -> np.ndarray:
    try:
        state = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"initial must be an index or a state of {n_states} numbers, got {item!r}") from None
    if state.shape != (n_states,) or not np.all(np.isfinite(state)):
        raise OptionError(f"an initial state must have {n_states} finite numbers, got {item!r}")
    return state


def integrate(equations: EquationSystem, start: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Solve the true equations accurately.

    Args:
        equations: the system.
        start: state at ``times[0]``, shape ``(states,)``.
        times: shape ``(time,)``.

    Returns:
        States, shape ``(time, states)``.

    Raises:
        IntegrationError: the last time was not reached.
    """
    f = equations.to_numpy()

    def guarded(s: float, x: np.ndarray) -> np.ndarray:
        slope = f(s, x)
        if np.all(np.isfinite(slope)):
            return slope
        edge = _BELOW_ZERO * (1.0 + np.abs(x).max())
        return f(s, np.where((x < 0) & (x > -edge), 0.0, x))

    with np.errstate(all="ignore"):
        return solve(guarded, start, times, rtol=_RTOL, atol=_ATOL, max_evaluations=2_000_000).x


@dataclass(frozen=True)
class Corruption:
    """What an experiment does to the truth.

    Attributes:
        noise, noise_kind, drop, missing, seed: as in `System.sample`.

    Raises:
        OptionError: a value out of range.
    """

    noise: float
    noise_kind: str
    drop: float
    missing: float
    seed: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise OptionError(f"noise must be a finite number of at least 0, got {self.noise!r}")
        if self.noise_kind not in NOISE_KINDS:
            raise OptionError(f"noise_kind must be one of {', '.join(NOISE_KINDS)}, not {self.noise_kind!r}")
        for name in ("drop", "missing"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise OptionError(f"{name} is a share and must lie in [0, 1), got {value!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise OptionError(f"seed must be a whole number of at least 0, got {self.seed!r}")

    def apply(self, clean: np.ndarray, number: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """Disturb one run.

        The random stream depends on the seed, the system, the start and the settings, so that no two
        experiments share their noise and none depends on what was drawn before.

        Args:
            clean: the truth, shape ``(time, states)``.
            number: the number of the system.
            stream: the number of the start.

        Returns:
            Indices of the rows that are kept, and the states there.
        """
        levels = [round(1e6 * self.noise), round(1e6 * self.drop)]
        if self.missing:
            levels.append(round(1e6 * self.missing))
        rng = np.random.default_rng([int(self.seed), number, stream, *levels])
        n = len(clean)
        shocks = self.noise * rng.standard_normal(clean.shape)
        size = clean if self.noise_kind == "multiplicative" else clean.std(axis=0)
        noisy = clean + size * shocks
        kept = np.sort(rng.permutation(n)[: n - int(n * self.drop)])
        noisy = noisy[kept]
        lost = rng.permutation(noisy.size)[: round(noisy.size * self.missing)]
        noisy.flat[lost] = np.nan
        return kept, noisy
