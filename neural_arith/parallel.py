"""Many pure calls in blocks: in parallel by joblib, kept on disk if wanted, and stopped between blocks.

The backend is joblib's own matter. Threads are asked for, because the compiled kernels release the interpreter lock;
``with joblib.parallel_config(backend="loky")`` or ``"dask"`` sends the same blocks elsewhere. Measured on two busy
cores, handing out eight empty blocks takes 12 ms by threads (joblib looks for results every 10 ms) and 11 ms by
processes, whose first call takes 7 s more, in which each of them imports the package and its compiled kernels.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, final

import joblib
import numpy as np
from joblib.hashing import NumpyHasher

from neural_arith.errors import OptionError

_Result = TypeVar("_Result")
_NOTHING: Mapping[str, Any] = {}
_PACKAGE = Path(__file__).parent.parent
_NOT_KEPT = "Unable to cache to disk"


@cache
def _fingerprint() -> str:
    """Tells apart the programs whose results may differ: every source of the package and what compiles them."""
    digest = hashlib.sha256()
    for name in ("numpy", "numba", "llvmlite"):
        digest.update(f"{name} {version(name)} ".encode())
    for source in sorted(_PACKAGE.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class _Hasher(NumpyHasher):
    """Tells values apart, not objects: two equal parts may be one object in this search and two in the next."""

    def memoize(self, obj: object) -> None:
        """Write everything out each time; nothing that is hashed here contains itself."""


def _hash(value: object) -> str:
    """The same for equal values in every process."""
    return str(_Hasher("md5", coerce_mmap=True).hash(value))


def _remember(key: str, compute: Callable[[], Any]) -> Any:
    return compute()


@final
class Checkpoint:
    """Results of pure calls on disk, found again by their inputs, in a folder of ``joblib.Memory``.

    A folder may serve many searches; results of another version of this package are not read. The files are pickles:
    use only folders you would run programs from.

    Args:
        folder: where to keep results; made if it is missing. None keeps nothing.

    Raises:
        OptionError: ``folder`` is empty or no folder one can write to.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._kept: Any = None
        self._told = False
        if folder is None:
            return
        if not os.fspath(folder):
            raise OptionError("checkpoint is empty; name a folder, or give None to keep nothing")
        self._folder = os.fspath(folder)
        place = Path(folder) / _fingerprint()
        try:
            place.mkdir(parents=True, exist_ok=True)
            memory = joblib.Memory(place, verbose=0)
            self._kept = memory.cache(_remember, ignore=["compute"], verbose=0)
        except (OSError, ValueError) as error:  # the latter of a character with code zero
            reason = getattr(error, "strerror", None) or error
            raise OptionError(
                f"checkpoint must be a folder that can be written to, got {os.fspath(folder)!r} ({reason}); "
                "name another one"
            ) from error

    def __bool__(self) -> bool:
        """Whether anything is kept."""
        return self._kept is not None

    def find(self, key: str) -> Any:
        """What was kept under a key; None if nothing was, or if its file is broken."""
        if self._kept is None or not self._kept.check_call_in_cache(key, None):
            return None
        found = self._kept.call_and_shelve(key, None)
        try:
            return found.get()
        except Exception:  # a damaged pickle can raise anything; its result is computed again
            found.clear()
            return None

    def keep(self, key: str, result: Any) -> None:
        """Write a result under a key; where that fails, as on a full disk, say so once and go on without."""
        if self._kept is None:
            return
        trouble = ""
        with warnings.catch_warnings(record=True) as said:  # joblib warns where it cannot write
            warnings.simplefilter("always")
            try:
                self._kept(key, lambda: result)
            except OSError as error:
                trouble = str(error.strerror or error)
        for one in said:
            if _NOT_KEPT in str(one.message):
                trouble = str(one.message).rpartition(":")[2].strip(" .") or "no reason is given"
        if trouble and not self._told:
            self._told = True
            warnings.warn(
                f"the checkpoint {self._folder} cannot be written to ({trouble}); the search goes on, but what it does "
                "from here is not kept",
                RuntimeWarning,
                stacklevel=2,
            )

    def recall(
        self, function: Callable[..., _Result], *inputs: Any, ignored: Mapping[str, Any] = _NOTHING, **named: Any
    ) -> _Result:
        """What a pure function returns, which is never None; from disk if it was called with the same inputs before.

        Args:
            function: the function.
            *inputs: its arguments.
            ignored: further arguments that the result does not depend on.
            **named: its arguments by name.
        """
        if self._kept is None:
            return function(*inputs, **named, **ignored)
        key = _hash((function.__qualname__, inputs, named))
        found = self.find(key)
        if found is None:
            found = function(*inputs, **named, **ignored)
            self.keep(key, found)
        return found


def always() -> bool:
    """The search that is never out of time."""
    return True


def partition(costs: Iterable[float], most: float) -> list[tuple[int, int]]:
    """Ranges of neighbours, at least one in each, whose costs add up to about ``most``.

    Args:
        costs: what each item costs.
        most: what a range may cost, unless a single item costs more.
    """
    ranges: list[tuple[int, int]] = []
    first, stop, spent = 0, 0, 0.0
    for cost in costs:
        if stop > first and spent + cost > most:
            ranges.append((first, stop))
            first, spent = stop, 0.0
        stop += 1
        spent += cost
    return [*ranges, (first, stop)] if stop > first else ranges


def run_blocks(
    function: Callable[..., Any],
    blocks: Sequence[tuple[Any, ...]],
    *shared: Any,
    n_jobs: int | None = 1,
    checkpoint: Checkpoint | None = None,
    in_time: Callable[[], bool] = always,
    halt: np.ndarray | None = None,
) -> list[Any]:
    """Call a pure function for each block.

    Args:
        function: a function of a module, called as ``function(*block, *shared)``; never returns None.
        blocks: arguments that differ.
        *shared: arguments that all calls have in common.
        n_jobs: as in joblib; the results do not depend on it.
        checkpoint: keeps the results.
        in_time: asked before each block is begun; once it says no, no other block is.
        halt: handed to the function as its last argument, one number that is set when what is computed is to end; what
            ends then is returned, but not kept.

    Returns:
        A result for each block, None for those not begun in time.
    """
    last = () if halt is None else (halt,)
    results: list[Any] = [None] * len(blocks)
    keys: list[str] = []
    if checkpoint:
        common = _hash((function.__qualname__, shared))
        keys = [_hash((common, block)) for block in blocks]
        results = [checkpoint.find(key) for key in keys]
    left = [k for k, result in enumerate(results) if result is None]

    def in_turn() -> Iterator[int]:
        for k in left:
            if not in_time():
                return
            yield k

    def done(k: int, result: Any) -> None:
        results[k] = result
        if checkpoint and not (last and last[0][0]):
            checkpoint.keep(keys[k], result)

    parallel = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    if len(left) < 2 or parallel.n_jobs == 1:
        for k in in_turn():
            done(k, function(*blocks[k], *shared, *last))
        return results
    calls: Any = parallel(joblib.delayed(function)(*blocks[k], *shared, *last) for k in in_turn())
    try:
        for k, result in zip(left, calls, strict=False):  # calls end early when time is up
            done(k, result)
    except BaseException:
        with warnings.catch_warnings():  # joblib warns of results that nobody wants any more
            warnings.simplefilter("ignore")
            calls.close()
        raise
    return results
