"""States of a training run on disk: written whole or not at all, read back without executing anything."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from neural_arith.errors import DataError, OptionError
from neural_arith.files import write_bytes

VERSION = 1


def save_checkpoint(path: str | os.PathLike[str], settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Write settings and state; an interruption leaves the previous file intact.

    Args:
        path: the file.
        settings: what must be the same on resuming (strings and numbers).
        state: tensors, numbers, strings, and dicts and lists of them.

    Raises:
        DataError: the file cannot be written.
    """
    content = io.BytesIO()
    torch.save({"version": VERSION, "settings": settings, "state": state}, content)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; choose another place") from None
    write_bytes(path, content.getvalue())


def load_checkpoint(path: str | os.PathLike[str], settings: dict[str, Any]) -> dict[str, Any]:
    """Read a state back.

    Raises:
        DataError: the file cannot be read as a checkpoint.
        OptionError: it belongs to a run with other settings (the first difference is named).
    """
    try:
        content = torch.load(path, weights_only=True)
        version, stored, state = content["version"], content["settings"], content["state"]
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} cannot be read as a checkpoint ({error}); start without resume") from None
    if version != VERSION:
        raise DataError(f"{path} has checkpoint version {version}, expected {VERSION}; start without resume")
    for name, value in settings.items():
        if stored.get(name) != value:
            raise OptionError(
                f"the checkpoint {path} was made with {name}={stored.get(name)!r}, this run has {value!r}; "
                "resume with the same settings or start without resume"
            )
    return state
