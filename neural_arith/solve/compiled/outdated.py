"""Compiled code that is older than a source file it was compiled from is thrown away.

Numba keeps compiled functions on disk and compiles one anew when the file that it stands in has changed, but not when
a function that it calls, from another file, has. After a pull the solver could be half old, half new.
"""

from __future__ import annotations

from pathlib import Path


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
