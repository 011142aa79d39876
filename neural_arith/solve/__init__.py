"""Solving initial value problems: one result type, typed failures."""

from neural_arith.solve.with_scipy import Solution, Status, solve
from neural_arith.solve.with_torch import solve_torch

__all__ = ["Solution", "Status", "solve", "solve_torch"]
