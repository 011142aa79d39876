"""What answering without looking at the inputs scores: the numbers every table must show beside a method's."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from neural_arith.errors import OptionError


def trivial_errors(train: Tensor, test: Tensor, error: Literal["squared", "absolute"] = "squared") -> dict[str, Tensor]:
    """The errors of predictors that always answer the same.

    Args:
        train: targets they may know, shape ``(*members, points, outputs)``.
        test: targets they are judged by, of the same members and outputs; nan where nothing is judged.
        error: mean squared or mean absolute error over points.

    Returns:
        Name -> error, shape ``(*members, outputs)``: of answering ``zero``, the ``training mean``, the ``training
        median``, and the ``best constant``, which knows the test set: its mean for squared errors, its median for
        absolute ones.

    Raises:
        OptionError: another error.
    """
    if error not in ("squared", "absolute"):
        raise OptionError(f"error must be squared or absolute, not {error!r}")
    best = _middle(test) if error == "absolute" else torch.nanmean(test, dim=-2)
    answers = {
        "zero": torch.zeros_like(best),
        "training mean": torch.nanmean(train, dim=-2),
        "training median": _middle(train),
        "best constant": best,
    }
    power = 2 if error == "squared" else 1
    return {
        name: torch.nanmean((test - answer[..., None, :]).abs() ** power, dim=-2) for name, answer in answers.items()
    }


def _middle(values: Tensor) -> Tensor:
    return torch.nanmedian(values, dim=-2).values
