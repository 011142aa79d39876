"""Measurements: what a set of trajectories is, and how tables of numbers are read into one."""

from neural_arith.data.trajectories import Run, Trajectories

__all__ = ["Run", "Trajectories"]
