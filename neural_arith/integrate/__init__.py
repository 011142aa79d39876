"""Solving initial value problems: one result type, typed failures."""

from neural_arith.integrate.solve import Solution, Status, solve
from neural_arith.integrate.torch_solve import solve_torch

__all__ = ["Solution", "Status", "solve", "solve_torch"]
