"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from neural_arith.errors import DataError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to, and put it in place only when all went well.

    Args:
        path: where the file shall stand; an older one there is replaced in one step.

    Raises:
        DataError: the folder does not exist or cannot be written to.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}; choose another place") from None
    os.close(handle)
    try:
        yield Path(name)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes private files; these are ordinary ones
        os.replace(name, target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}; choose another place") from None
    finally:
        Path(name).unlink(missing_ok=True)
