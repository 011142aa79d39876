"""The one way in which files are written here: whole or not at all, and by one process at a time where rows are added.

A file is written under another name in its own folder and takes its place in one step when it is complete and on the
disk. A process that is killed meanwhile leaves ``.unfinished-HOST-PROCESS-...`` behind; whoever writes next into that
folder clears away what belongs to a process that is gone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from neural_arith.errors import DataError

__all__ = ["checked_path", "locked", "whole_file", "whole_folder", "write_bytes", "write_text"]

_UNFINISHED = ".unfinished-"
_DAY = 86_400.0
"""Seconds after which a leftover of another machine, or without a process in its name, belongs to nobody."""


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to, and put it in place only when all went well.

    Args:
        path: where the file shall stand; an older one there is replaced in one step. A device or a pipe, which cannot
            be replaced, gets the content when it is complete.

    Raises:
        DataError: it cannot be written: no such folder, no permission, no room.
    """
    asked = checked_path(path)
    with _said_of(path):
        target = _place(asked)
        ordinary = not target.exists() or target.is_file()
        folder = target.parent if ordinary else Path(tempfile.gettempdir())
        _clear_away(folder)
        draft = folder / f"{_UNFINISHED}{_owner()}-{secrets.token_hex(4)}{target.suffix[:16]}"
        mode = stat.S_IMODE(target.stat().st_mode) if target.is_file() else None
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield draft
            if ordinary:
                _finish(draft, target, mode)
            else:
                with draft.open("rb") as content, target.open("wb") as sink:
                    shutil.copyfileobj(content, sink)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder for several files, which go to ``folder`` together when all of them are there.

    Args:
        folder: where the files shall stand; it exists. Files of the same names there are replaced.

    Raises:
        DataError: they cannot be written.
    """
    target = checked_path(folder)
    with _said_of(folder):
        _clear_away(target)
        drafts = target / f"{_UNFINISHED}{_owner()}-{secrets.token_hex(4)}"
        try:
            drafts.mkdir()
            yield drafts
            files = sorted(drafts.iterdir())
            for file in files:
                if (target / file.name).is_dir():
                    raise DataError(f"cannot write {target / file.name}: it is a folder; choose another place")
                _to_disk(file)
            with locked(target / "files"):  # those of two processes do not mix
                for file in files:
                    os.replace(file, target / file.name)
            _to_disk(target)
        finally:
            shutil.rmtree(drafts, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Args:
        path: the file; an older one is replaced.
        text: what it shall hold.

    Raises:
        DataError: it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, whole or not at all.

    Args:
        path: the file; an older one is replaced.
        content: what it shall hold.

    Raises:
        DataError: it cannot be written.
    """
    with whole_file(path) as draft:
        draft.write_bytes(content)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other processes of this package from a file while it is read, changed and written again.

    Args:
        path: the file; the lock is a file of its own beside it, which goes away with the lock.

    Raises:
        DataError: the lock cannot be made.
    """
    target = checked_path(path)
    place = target.with_name(f".{target.name}.lock")
    with _said_of(path):
        lock = FileLock(place)
        lock.acquire()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows does not remove open files; whoever waits looks whether it is gone
            place.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def _said_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system says into one line about the file that was wanted."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another place") from None


def checked_path(path: str | os.PathLike[str]) -> Path:
    """A path, if it may be one on this system.

    Raises:
        DataError: it is no text, empty, or holds a character with code zero.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise DataError(f"the path of a file must be text or a pathlib.Path, but is a {type(path).__name__}; name one")
    if not text:
        raise DataError("cannot open a file without a name; name it")
    if "\0" in text:
        raise DataError(f"{text!r} holds a character with code zero, which no path may; name another")
    return Path(text)


def _place(asked: Path) -> Path:
    """Where a path leads: a link stays a link, and what it points to is replaced."""
    if asked.is_dir():
        raise DataError(f"cannot write {asked}: it is a folder; choose another place")
    if asked.exists() and not os.access(asked, os.W_OK):
        raise DataError(f"cannot write {asked}: it is write-protected; choose another place")
    return Path(os.path.realpath(asked)) if asked.is_file() or not asked.exists() else asked


def _finish(draft: Path, target: Path, mode: int | None) -> None:
    if mode is not None:
        draft.chmod(mode)
    _to_disk(draft)
    os.replace(draft, target)
    _to_disk(target.parent)


def _to_disk(path: Path) -> None:
    """Wait until a file, or what stands in a folder, would outlive a power cut; some systems cannot say of folders."""
    folder = path.is_dir()
    with contextlib.suppress(OSError) if folder else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _owner() -> str:
    host = "".join(c for c in socket.gethostname()[:40] if c.isalnum()) or "host"
    return f"{host}-{os.getpid()}"


def _clear_away(folder: Path) -> None:
    """Remove what killed processes left in a folder."""
    with contextlib.suppress(OSError):
        left = [entry for entry in os.scandir(folder) if entry.name.startswith(_UNFINISHED)]
        for entry in left:
            if _abandoned(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


def _abandoned(entry: os.DirEntry[str]) -> bool:
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY:
        return True
    host, _, rest = entry.name.removeprefix(_UNFINISHED).partition("-")
    process = rest.partition("-")[0]
    if os.name != "posix" or host != _owner().partition("-")[0] or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)  # asks only whether it is there
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
