"""Which benchmarks ``neural-arith bench`` knows, and their options. A new one is an entry of `BENCHMARKS`.

Every command line declares all of them, so their modules, slow to import, wait until one runs.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from neural_arith.arguments import folder, names, number, positive, seeds, shares, whole

Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Benchmark:
    """One ``neural-arith bench NAME``.

    Attributes:
        name: NAME.
        help: one line for the list of benchmarks.
        description: what ``--help`` says above the options.
        module: of this package; its ``run(name, arguments)`` makes the rows that are missing, prints what they come to
            and returns the exit code.
        options: declares options beside ``--out`` and ``--quiet``, which all have.
    """

    name: str
    help: str
    description: str
    module: str
    options: Callable[[Parser], None]

    def add_arguments(self, parser: Parser) -> None:
        """Declare the options."""
        self.options(parser)
        parser.add_argument(
            "--out", metavar="FOLDER", type=folder, help="keep the rows there; the same command goes on from them"
        )
        parser.add_argument("--quiet", action="store_true", help="no progress on standard error")

    def run(self, arguments: argparse.Namespace) -> int:
        """Do the work.

        Returns:
            The exit code: 0, or 130 after Ctrl-C.

        Raises:
            OptionError: options do not fit, or a package is missing.
            DataError: a result file cannot be read, or the folder not be made.
        """
        return import_module(f"{__package__}.{self.module}").run(self.name, arguments)


# --- values of options -----------------------------------------------------------------------------------


def budget(text: str) -> tuple[float | None, int | None]:
    """Read a share of the published steps, ``2%``, or a number of steps, ``20000``.

    Raises:
        argparse.ArgumentTypeError: neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)%", text)
    if found and float(found[1]) > 0:
        return float(found[1]) / 100, None
    if text.isdecimal() and 1 <= int(text) <= 10**8:
        return None, int(text)
    raise argparse.ArgumentTypeError(
        f"expected a share of the published steps, as 2%, or a number of steps, got {text!r}"
    )


def settings(text: str) -> list[str]:
    """Read names separated by commas outside brackets, as ``[1,2],N(-3,3)``."""
    parts = names(re.sub(r"\[[^\]]*\]|\([^)]*\)", lambda part: part[0].replace(",", ";"), text))
    return [part.replace(";", ",") for part in parts]


def lengths(text: str) -> list[int]:
    """Read whole numbers above zero, in order."""
    read = whole(1, 10_000)
    return sorted({read(part) for part in names(text)})


def several(text: str) -> list[float]:
    """Read numbers above zero."""
    return [positive(part) for part in names(text)]


# --- options ---------------------------------------------------------------------------------------------


def _seeds(parser: Parser, usual: int | None) -> None:
    said = "as published" if usual is None else usual
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=seeds,
        default=None if usual is None else list(range(usual)),
        help=f"number of seeds, or a list as in 4,7 (default: {said})",
    )


def _jobs(parser: Parser, usual: int = 1, what: str = "processes") -> None:
    parser.add_argument("--jobs", metavar="N", type=whole(1, 1024), default=usual, help=f"{what} (default: {usual})")


def _passes(parser: Parser, usual: int) -> None:
    parser.add_argument(
        "--passes", metavar="N", type=whole(1, 1000), default=usual, help=f"how often it is timed (default: {usual})"
    )


def _suite(parser: Parser) -> None:
    parser.add_argument(
        "--method",
        metavar="A,B",
        type=names,
        action="extend",
        help="neural_arith (default), pysindy, operon, oracle, constant; may be repeated",
    )
    parser.add_argument(
        "--noise", metavar="A,B", type=shares(0, 10), default=[0.0], help="relative noise, one level or several"
    )
    parser.add_argument(
        "--drop", metavar="A,B", type=shares(0, 1), default=[0.0], help="share of the samples dropped at random"
    )
    parser.add_argument(
        "--systems", metavar="A,B", type=names, default=[], help="only these, by number or name (default: all)"
    )
    parser.add_argument(
        "--points", metavar="N", type=whole(10, 100_000), help="samples before dropping (default: the system's own)"
    )
    parser.add_argument(
        "--time-limit", metavar="SECONDS", type=positive, default=120.0, help="for each system (default: 120)"
    )
    _seeds(parser, 1)
    _jobs(parser)


def _recovery(parser: Parser) -> None:
    parser.add_argument("system", help="a catalogue name, see neural-arith systems")
    parser.add_argument(
        "--noise", metavar="A", type=number, default=0.0, help="share of each state's standard deviation (default: 0)"
    )
    parser.add_argument(
        "--runs", metavar="N", type=whole(1, 6), default=1, help="runs from different starts (default: 1)"
    )
    _seeds(parser, 20)
    _jobs(parser)


def _crnn(parser: Parser) -> None:
    parser.add_argument(
        "--time-budget", metavar="SECONDS", type=positive, help="for each search (default: that of discover)"
    )
    _seeds(parser, 10)
    _jobs(parser)


def _scales(parser: Parser) -> None:
    parser.add_argument("--problems", metavar="A,B", type=names, help="only these (default: all ten)")
    _jobs(parser)


def _sensitivity(parser: Parser) -> None:
    _scales(parser)
    parser.add_argument(
        "--entries", metavar="A,B", type=names, help="only these, as Prior.square,Effort.patience (default: all)"
    )


def _ode_route(parser: Parser) -> None:
    _seeds(parser, 20)
    _jobs(parser)


def _budgets(parser: Parser) -> None:
    parser.add_argument(
        "--budgets", metavar="A,B", type=several, default=[1.0, 5.0, 20.0, 60.0], help="seconds (default: 1,5,20,60)"
    )
    parser.add_argument("--shapes", metavar="A,B", type=names, help="shapes of data (default: all twelve)")
    parser.add_argument("--cpu", action="store_true", help="budgets in processor seconds, for a busy machine")
    _seeds(parser, 1)
    _jobs(parser, what="threads of one search")


def _candidates(parser: Parser) -> None:
    _passes(parser, 5)
    _jobs(parser, 2, "threads")


def _formula_search(parser: Parser) -> None:
    _passes(parser, 7)
    _jobs(parser, 2, "threads of the searches; the iterations are timed on one")


def _arithmetic(parser: Parser) -> None:
    listed = "one or several, separated by commas; a wrong name lists the right ones"
    parser.add_argument("--model", metavar="A,B", type=names, help=f"models (default: all); {listed}")
    parser.add_argument("--op", metavar="A,B", type=names, help=f"operations (default: all); {listed}")
    parser.add_argument(
        "--range", metavar="A,B", type=settings, help=f"training ranges or other settings, or all; {listed}"
    )
    parser.add_argument(
        "--budget",
        metavar="N",
        type=budget,
        help="steps to train: a share of the published number, as 2%%, or a number; schedules shorten alike "
        "(default: what takes minutes; 100%% is the published protocol)",
    )
    _seeds(parser, None)


def _digits(parser: Parser) -> None:
    parser.add_argument("--op", metavar="A,B", type=names, help="product, sum (default: both)")
    parser.add_argument("--model", metavar="A,B", type=names, help="only these (default: all of the operation)")
    parser.add_argument("--range", metavar="N,M", type=lengths, help="lengths of the test (default: the published)")
    parser.add_argument(
        "--budget",
        metavar="N",
        type=budget,
        default=(0.6, None),  # the NMU's weights need some 450 epochs to reach 1
        help="epochs: a number, or a share of the published 1000 as 10%% (default: 60%%)",
    )
    parser.add_argument("--mnist", metavar="FOLDER", type=folder, help="read MNIST's four IDX files, not the scans")
    _seeds(parser, 10)


def _fractional_sir(parser: Parser) -> None:
    parser.add_argument("--protocol", metavar="A,B", type=names, help="published, accurate, ours (default: all)")
    parser.add_argument("--model", metavar="A,B", type=names, help="npu, real_npu, dense (default: all)")
    parser.add_argument(
        "--budget",
        metavar="N",
        type=budget,
        default=(1.0, None),
        help="steps before L-BFGS: a share of the published 3000, as 2%%, or a number; those of L-BFGS shrink alike "
        "(default: 100%%)",
    )
    parser.add_argument("--optimiser", choices=("rmsprop", "adam"), default="rmsprop", help="before L-BFGS")
    _seeds(parser, 5)
    _jobs(parser)


# --- the benchmarks --------------------------------------------------------------------------------------

_SUITE = (
    "Every method gets the same noisy samples of each system's first trajectory; what it finds is integrated from the "
    "true first state (rec) and from a second one (gen) and compared with the true solutions."
)
_ARITHMETIC = (
    "All seeds of a model train as one batch by its authors' recipe; beside them stand the closed form of our units "
    "from the first training batches, the weights that solve the task (gold), answers that ignore the inputs, and the "
    "published numbers. Training goes on from its last record."
)
_OPERATIONS = {
    "simple": "sum, product, quotient and root of two numbers (Heim et al., NeurIPS 2020)",
    "large-scale": "operations on sums of 50 of 100 inputs (Heim et al., NeurIPS 2020)",
    "static": "operations on overlapping sums of 100 inputs (Madsen and Johansen, ICLR 2020)",
    "recurrent": "operations on sums over sequences (Trask et al., NeurIPS 2018)",
    "single-module": "operations on two inputs, one layer, nine ranges (Mistry et al., JMLR 2022)",
    "inalu": "operations on inputs of seven distributions (Schlör, Ring, Hotho 2020)",
}

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "odebench",
        "the 63 systems of ODEBench (d'Ascoli et al., ICLR 2024)",
        f"The 63 systems of ODEBench. {_SUITE}",
        "suites.command",
        _suite,
    ),
    Benchmark(
        "powerlaw",
        "24 systems with real powers and ratios",
        f"24 systems with real powers and ratios, by the same protocol. {_SUITE}",
        "suites.command",
        _suite,
    ),
    Benchmark(
        "recovery",
        "how often one system's law is found, over seeds",
        "A catalogue system is sampled with additive noise of a share of each state's standard deviation, a fresh draw "
        "for each seed, and searched; beside it stands the true structure with its constants fitted. A measured series "
        "is searched with another seed of the random starts each time.",
        "laws.recovery",
        _recovery,
    ),
    Benchmark(
        "crnn",
        "four reactions of five species from 20 noisy runs (Ji and Deng 2021)",
        "The first case of the chemical reaction neural network: 20 runs with noise of 5 %, drawn anew for each seed, "
        "10 further runs for the test; beside it stand the true reactions with their rates fitted.",
        "laws.crnn",
        _crnn,
    ),
    Benchmark(
        "scales",
        "whether laws depend on the units of measurement",
        "Ten problems with known laws, each searched in seven sets of units; the law has to be the same, and each of "
        "its constants within its standard error.",
        "laws.scales",
        _scales,
    ),
    Benchmark(
        "sensitivity",
        "what each price and each width of the search buys",
        "Ten problems with known laws, searched with one entry of Prior or Effort halved or doubled at a time; what "
        "never matters can go.",
        "laws.sensitivity",
        _sensitivity,
    ),
    Benchmark(
        "fractional-sir",
        "the fractional SIR grid of Neural Power Units (Heim et al., NeurIPS 2020)",
        "Hidden size 6, 9, 12, 15, 20, L1 penalty 0, .01, .1, 1 and 5 runs: 100 runs of NPU, RealNPU and Dense each, "
        "on a noise-free trajectory of 40 points. published: as in the paper's code, Euler steps of 1, under which the "
        "true equations score 1.08 and wrong ones 0.02. accurate: the same through a solver by which the truth scores "
        "4.5e-7. ours: train through an adaptive solver, prune, round and refit to a formula, without a penalty; dense "
        "layers are left out. Where paper and code differ, the code is followed (RMSProp; --optimiser adam is the "
        "paper's).",
        "fractional_sir.command",
        _fractional_sir,
    ),
    Benchmark(
        "ode-route",
        "the same epidemic trained through the solver, pruned, rounded and refitted",
        "NPU(3, 6) and NAU(6, 3) as the right-hand side; a row says how well the trained network simulates, and "
        "whether the formula that is left is the right one.",
        "fractional_sir.ode_route",
        _ode_route,
    ),
    *(
        Benchmark(name, about, f"{about[0].upper()}{about[1:]}. {_ARITHMETIC}", "arithmetic.command", _arithmetic)
        for name, about in _OPERATIONS.items()
    ),
    Benchmark(
        "sequential-digits",
        "running sums and products of scanned digits or MNIST (Madsen and Johansen, ICLR 2020)",
        "A small CNN reads one image at a time and answers with one number, a unit keeps the running sum or product of "
        "what it reads; only the results are told. Success is a test error below the 99 % bound of the same network "
        "with the right unit in place (the reference). Products are trained on 2 digits, sums on 10 (Madsen and "
        "Johansen, ICLR 2020). An unfinished training goes on where it stopped.",
        "digits.command",
        _digits,
    ),
    Benchmark(
        "budgets",
        "whether a search keeps its time budget",
        "Seconds from call to return over twelve shapes of data, each search in a process of its own; what it says "
        "while it loads, or compiles, the solver is subtracted.",
        "speed.budgets",
        _budgets,
    ),
    Benchmark(
        "candidates",
        "how many candidate structures are refitted through the solver in a second",
        "All pairs of at-most-two-term right-hand sides of degree three on the counts of lynx and hare, each refitted "
        "from one rough guess.",
        "speed.candidates",
        _candidates,
    ),
    Benchmark(
        "first-result",
        "how long the first result takes in a new process",
        "To the first candidate that is refined through the solver and to the answer, with the compiled solver still "
        "to be compiled (cold) and without (warm).",
        "speed.first_result",
        lambda parser: _passes(parser, 3),
    ),
    Benchmark(
        "formula-search",
        "how long the search for units takes, and how its time grows",
        "4 sizes of 64 restarts of at most 40 iterations for an equation of the fractional epidemic, and single "
        "iterations over points, states and restarts.",
        "speed.formula_search",
        _formula_search,
    ),
)
"""In the order of the list that ``neural-arith bench --help`` shows."""
