"""Solving initial value problems: one result type, typed failures."""

from neural_arith.integrate.solve import Solution, Status, solve

__all__ = ["Solution", "Status", "solve"]
