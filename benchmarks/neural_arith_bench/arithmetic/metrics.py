"""What a run is judged by: errors, success, when it was solved, how far its weights are from whole numbers.

After Madsen and Johansen (Neural Arithmetic Units, ICLR 2020, https://arxiv.org/abs/2001.05016).
Everything takes NumPy arrays or torch tensors with members first, and returns NumPy arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from neural_arith.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Array = ArrayLike | Tensor


def mean_squared_error(found: Array, true: Array) -> np.ndarray:
    """Mean squared error of each output, over points.

    Args:
        found: shape ``(*members, points, outputs)``.
        true: of the same shape, or one that broadcasts; nan where nothing is judged.

    Returns:
        Shape ``(*members, outputs)``; infinite where an answer that is judged is nan, so that it never counts.
    """
    return _mean(found, true, 2)


def mean_absolute_error(found: Array, true: Array) -> np.ndarray:
    """Mean absolute error of each output, over points; as `mean_squared_error`."""
    return _mean(found, true, 1)


def success(error: Array, threshold: float) -> np.ndarray:
    """Whether errors are below the bar; nan is not. Any shape.

    >>> success([0.1, 0.3, float("nan")], 0.2)
    array([ True, False, False])
    """
    return numbers(error) < threshold


def solved_at(errors: Array, steps: Array, threshold: float) -> np.ndarray:
    """The first logged step whose error is below the bar, nan where none is.

    As the authors count it, a run that leaves the solution later keeps its step.

    Args:
        errors: extrapolation errors, shape ``(*members, logs)``.
        steps: shape ``(logs,)``, increasing.
        threshold: the bar.

    Returns:
        Shape ``(*members,)``.

    Raises:
        DataError: there are not as many steps as logs.

    >>> solved_at([[3.0, 0.1, 2.0], [3.0, 3.0, 3.0]], [0, 1000, 2000], 0.2)
    array([1000.,   nan])
    """
    values, when = _logged(errors, steps)
    below = success(values, threshold)
    return np.where(below.any(axis=-1), when[below.argmax(axis=-1)], np.nan)


def at_best_validation(validation: Array, test: Array, last: int | None = None) -> np.ndarray:
    """The test error where the validation error is lowest, the model that the protocol picks.

    Args:
        validation: interpolation errors, shape ``(*members, logs)``.
        test: extrapolation errors at the same logs, of the same shape.
        last: how many of the last logs count; all if None. The authors' scripts have 5000, all of them in most runs.

    Returns:
        Shape ``(*members,)``; nan where no validation error is a number.

    Raises:
        DataError: the shapes differ.
    """
    seen, judged = numbers(validation), numbers(test)
    if seen.shape != judged.shape or not seen.ndim:
        raise DataError(f"expected two arrays (*members, logs) of one shape, got {seen.shape} and {judged.shape}")
    begin = 0 if last is None else max(0, seen.shape[-1] - last)
    known = np.where(np.isnan(seen), np.inf, seen)[..., begin:]
    best = known.argmin(axis=-1)[..., None]
    picked = np.take_along_axis(judged[..., begin:], best, axis=-1)[..., 0]
    return np.where(np.isinf(known.min(axis=-1)), np.nan, picked)


def sparsity_error(*weights: Array) -> np.ndarray:
    """The largest distance of a weight's size to 0 or 1, ``max min(|w|, |1 - |w||)``.

    Args:
        weights: one array for each layer, shape ``(members, ...)``; members are not mixed.

    Returns:
        Shape ``(members,)``, each from 0 to 1/2 unless weights exceed 3/2.

    >>> sparsity_error([[1.0, -0.9, 0.0], [0.5, 1.0, 1.0]])
    array([0.1, 0.5])
    """
    worst = []
    for layer in weights:
        size = np.abs(numbers(layer))
        distance = np.minimum(size, np.abs(1 - size))
        worst.append(distance.reshape(len(distance), -1).max(axis=1))
    return np.max(worst, axis=0)


def numbers(values: Array) -> np.ndarray:
    """The values as an array of float64, from wherever they are."""
    return np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values, dtype=np.float64)


def _mean(found: Array, true: Array, power: int) -> np.ndarray:
    answers, right = np.broadcast_arrays(numbers(found), numbers(true))
    judged = ~np.isnan(right)
    with np.errstate(over="ignore", invalid="ignore"):
        missed = np.abs(answers - right) ** power
    missed = np.where(np.isnan(missed), np.inf, missed)
    return np.where(judged, missed, 0.0).sum(axis=-2) / judged.sum(axis=-2)


def _logged(errors: Array, steps: Array) -> tuple[np.ndarray, np.ndarray]:
    values, when = numbers(errors), numbers(steps)
    if when.ndim != 1 or not len(when) or values.shape[-1:] != when.shape:
        raise DataError(f"expected errors (*members, logs) and steps (logs,), got {values.shape} and {when.shape}")
    return values, when
