"""The neural ODE route: arithmetic layers as a right-hand side, trained through a solver, pruned to a formula."""

from neural_arith.ode.field import ArithmeticField
from neural_arith.ode.neural_ode import NeuralODE
from neural_arith.ode.prune import prune
from neural_arith.ode.sparsity import L1Growth, MadsenRamp, Sparsity
from neural_arith.ode.train import TrainResult, train

__all__ = ["ArithmeticField", "L1Growth", "MadsenRamp", "NeuralODE", "Sparsity", "TrainResult", "prune", "train"]
