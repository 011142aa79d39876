"""Compiled functions, kept on disk where that can be: trouble with a file costs the time to compile, no more."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps


class _Sealed(CompileResultCacheImpl):
    """Code with its checksum: a file of machine code that was damaged could end the process."""

    def reduce(self, cres: Any) -> tuple[bytes, bytes]:
        """What is written."""
        body = dumps(super().reduce(cres))
        return hashlib.sha256(body).digest(), body

    def rebuild(self, target_context: Any, payload: tuple[bytes, bytes]) -> Any:
        """What was written."""
        digest, body = payload
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("damaged")
        return super().rebuild(target_context, pickle.loads(body))


class _Careful(FunctionCache):
    """Numba's cache of one function, for which a damaged file is none and a full disk no reason to stop."""

    _impl_class = _Sealed

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code that was kept, None if there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # damaged files can raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep code, or say that it cannot be."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _tell(error.strerror or str(error))


_told: list[str] = []


def _tell(reason: str) -> None:
    if not _told:
        _told.append(reason)
        warnings.warn(
            f"compiled code cannot be kept ({reason}) and is compiled anew by every process, in half a minute; "
            "name a folder that can be written to in NUMBA_CACHE_DIR",
            RuntimeWarning,
            stacklevel=3,
        )


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Numba's ``njit`` as all kernels here use it: without the interpreter lock, with NumPy's errors, kept on disk.

    Args:
        **options: further options of ``njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = njit(nogil=True, error_model="numpy", **options)(function)
        try:
            dispatcher._cache = _Careful(function)
        except (RuntimeError, OSError):  # no folder that can be written to
            _tell("there is no folder that can be written to")
        return dispatcher

    return decorate


def forget_outdated(package: Path) -> list[Path]:
    """Remove what Numba keeps beside the sources of a package and is older than the newest compiled one.

    Args:
        package: folder of the package.

    Returns:
        The files removed; none where they may not be, as in a shared installation, whose files never change alone.
    """
    kept = list(package.rglob("__pycache__/*.nbi"))
    sources = {index.parent.parent / f"{index.name.partition('.')[0]}.py" for index in kept}
    removed = []
    try:
        newest = max((source.stat().st_mtime for source in sources if source.exists()), default=0.0)
        for index in kept:
            if index.stat().st_mtime < newest:
                index.unlink(missing_ok=True)
                removed.append(index)
    except OSError:  # another process was faster, or this is not ours to change
        pass
    return removed


forget_outdated(Path(__file__).parents[2])
