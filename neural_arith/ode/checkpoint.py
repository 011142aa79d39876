"""What a training run remembers: its best field, its history, and its state on disk.

States are written whole or not at all, and read back without executing anything.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neural_arith.errors import DataError, OptionError
from neural_arith.files import write_bytes
from neural_arith.fit.levenberg_marquardt import LMState

if TYPE_CHECKING:
    from neural_arith.ode.field import ArithmeticField


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


class Tracker:
    """The memory of a run.

    Args:
        field: the field at the start; the best one has the same shape.
        settings: what a resumed run must share.
        checkpoint: file, or None.
        every: steps between saves.
        progress: show a progress bar.

    Attributes:
        history: one row per step.
        best_loss: of the best field in the present stage.
    """

    def __init__(
        self,
        field: ArithmeticField,
        settings: dict[str, Any],
        checkpoint: str | os.PathLike[str] | None,
        every: int,
        progress: bool,
    ) -> None:
        self._field = copy.deepcopy(field)
        self._settings = settings
        self._path = None if checkpoint is None else Path(checkpoint)
        self._every = max(every, 1)
        self._progress = progress
        self._bar: Any = None
        self._said = False
        self._best: dict[str, Tensor] = field_state(field)
        self._rank = float("inf")
        self.best_loss = float("inf")
        self.history: list[dict[str, Any]] = []

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None if there is no file yet; history and best field are taken over."""
        if self._path is None or not self._path.exists():
            return None
        saved = load_checkpoint(self._path, self._settings)
        self.history = saved["history"]
        self._best, self.best_loss, self._rank = saved["best"], saved["best_loss"], saved["rank"]
        return saved

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint, if there is a file; one that cannot be written is said once and costs no training."""
        if self._path is not None:
            own = {
                "history": self.history,
                "best": self._best,
                "best_loss": self.best_loss,
                "rank": self._rank,
            }
            try:
                save_checkpoint(self._path, self._settings, own | state)
            except DataError as error:
                if not self._said:
                    warnings.warn(f"training goes on without a checkpoint: {error}", RuntimeWarning, stacklevel=2)
                self._said = True

    def due(self, step: int) -> bool:
        """Whether this step ends with a save."""
        return self._path is not None and step % self._every == 0

    def begin(self, stage: str, steps: int) -> None:
        """Start a stage: losses of different stages are not comparable, so the best starts anew."""
        self.close()
        self._rank = self.best_loss = float("inf")
        if self._progress:
            from tqdm import tqdm

            self._bar = tqdm(total=steps, desc=stage)

    def record(self, stage: str, step: int, loss: float, penalty: float = 0.0) -> None:
        """Add a row to the history and move the bar."""
        self.history.append({"stage": stage, "step": step, "loss": loss, "penalty": penalty})
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            self._bar.set_postfix(loss=f"{loss:.3g}")

    def offer(self, field: ArithmeticField, loss: float, penalty: float = 0.0) -> None:
        """Keep the field if loss plus penalty is the smallest of the stage."""
        if loss + penalty < self._rank:
            self._rank, self.best_loss, self._best = loss + penalty, loss, field_state(field)

    def forget_rank(self) -> None:
        """Let the next offer win: the penalty's strength has changed."""
        self._rank = float("inf")

    def best_field(self) -> ArithmeticField:
        """A copy of the best field."""
        field = copy.deepcopy(self._field)
        field.load_state_dict(self._best)
        return field

    def close(self) -> None:
        """Take down the progress bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def field_state(field: ArithmeticField) -> dict[str, Tensor]:
    """A copy of the field's numbers and masks."""
    return {name: value.detach().clone() for name, value in field.state_dict().items()}


def pack(state: LMState) -> dict[str, Any]:
    """A Levenberg-Marquardt state as plain values."""
    return {
        "p": state.p.clone(),
        "loss": state.loss,
        "step": state.step,
        "damping": state.damping,
        "slow": state.slow,
        "scale": state.scale.clone(),
    }


def unpack(values: dict[str, Any]) -> LMState:
    """The inverse of :func:`pack`."""
    return LMState(**values)
