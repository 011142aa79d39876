"""What ``train`` and ``prune`` ask of their arguments before they begin."""

from __future__ import annotations

import contextlib
import copy
import math
import numbers
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neural_arith.data import Trajectories
from neural_arith.errors import DataError, OptionError
from neural_arith.ode.calls import check_function, home, n_arguments
from neural_arith.ode.field import ArithmeticField
from neural_arith.ode.neural_ode import NeuralODE

_LARGEST = 1e60
"""Sizes of times and states beyond this, or below its inverse, leave no room for their squares and quotients."""


def number(name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf) -> Any:
    """A number in a range; the value itself."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    size = float(value) if real else math.nan
    if not (size > above and least <= size <= most):
        parts = [f"above {above:g}"] if math.isfinite(above) else []
        parts += [f"from {least:g}"] if math.isfinite(least) else []
        parts += [f"to {most:g}"] if math.isfinite(most) else []
        raise OptionError(f"{name} must be a finite number{' ' if parts else ''}{' '.join(parts)}, not {value!r}")
    return value


def whole(name: str, value: Any, *, least: int = -(2**63)) -> int:
    """A whole number from ``least`` up that fits into 64 bits; the value itself."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not least <= int(value) < 2**63:
        raise OptionError(f"{name} must be a whole number{f' from {least} up' if least >= 0 else ''}, not {value!r}")
    return int(value)


def checkpoint_path(path: Any) -> None:
    """Refuse what cannot name a file, or one that cannot be written; its folder is made.

    Raises:
        OptionError: what is in the way.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise OptionError(f"checkpoint must be the path of a file to write, not {path!r}")
    try:
        target = Path(path)
        with contextlib.suppress(FileNotFoundError):
            target.stat()  # a name that is too long or holds what no name may is found here
        if target.is_dir():
            raise OptionError(f"checkpoint must be the path of a file to write, not {path!r}, which is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not os.access(target, os.W_OK):
            raise OptionError(f"checkpoint {str(path)!r} is write-protected; choose another file")
        if target.is_file() or not target.exists():
            with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(target))) as trial:
                trial.write(b" ")
    except OptionError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise OptionError(f"checkpoint {str(path)!r} cannot be written ({error}); choose another place") from None


def prepared(field: Any, data: Any) -> tuple[ArithmeticField, Callable[[ArithmeticField], ArithmeticField]]:
    """A copy to work on, in float64 on the CPU, and what brings a result to where the field is.

    Args:
        field: an :class:`ArithmeticField`, a :class:`NeuralODE` around one, or a module ``f(x)``.
        data: the measurements.

    Raises:
        OptionError: no field, or its weights are no finite numbers.
        DataError: no trajectories, of other states or inputs, or of sizes that cannot be worked with.
    """
    if not isinstance(data, Trajectories):
        raise DataError(
            f"data must be Trajectories, not a {type(data).__name__}; make them with "
            "na.Trajectories.from_arrays(t, x, names=...)"
        )
    own = _as_field(field, data)
    if own.states != data.names or own.inputs != data.input_names:
        raise DataError(
            f"the field has states {own.states} and inputs {own.inputs}, the data {data.names} and "
            f"{data.input_names}; they must agree in name and order: use data.select"
        )
    _check_sizes(data)
    check_function(own)
    device, _ = home(own)
    if device.type == "meta":
        raise OptionError(
            "the field's weights are on the meta device, which holds no numbers; field.to_empty and fill them"
        )
    for name, value in own.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise OptionError(f"the field's {name} holds numbers that are not finite; start from finite weights")
    start = copy.deepcopy(own).to("cpu").double()
    start.note_signs_(data)
    return start, lambda result: result.to(device)


def _as_field(field: Any, data: Trajectories) -> ArithmeticField:
    """The field itself, that of a neural ODE, or a plain stack of layers under the names of the data."""
    if isinstance(field, NeuralODE):
        field = field.field
    if isinstance(field, ArithmeticField):
        return field
    if not isinstance(field, nn.Module) or n_arguments(field) != 1:
        raise OptionError(
            f"expected an ArithmeticField or a module f(x), such as nn.Sequential(NPU(2, 4), NAU(4, 2)), not a "
            f"{type(field).__name__}; put what depends on time into ArithmeticField(..., known=...)"
        )
    return ArithmeticField(field, states=data.names, inputs=data.input_names)


def _check_sizes(data: Trajectories) -> None:
    """Refuse times and values of which squares and quotients overflow or vanish."""
    steps = np.concatenate([np.diff(run.t) for run in data])
    sizes = {"the times": (steps.min(), max(run.t[-1] - run.t[0] for run in data))}
    for j, name in enumerate(data.names):
        values = np.abs(np.concatenate([run.x[:, j] for run in data]))
        top = float(np.nanmax(values))
        sizes[f"state {name!r}"] = (top or 1.0, top)
    for what, (low, high) in sizes.items():
        if low < 1 / _LARGEST or high > _LARGEST:
            raise DataError(
                f"{what}: {high if high > _LARGEST else low:.3g} is a size whose squares and quotients cannot be "
                "computed with; give them in another unit, nearer to 1"
            )
