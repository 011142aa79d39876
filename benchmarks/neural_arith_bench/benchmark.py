"""What a benchmark is to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """One ``neural-arith bench NAME``.

    Attributes:
        name: NAME.
        help: one line for the list of benchmarks.
        description: what ``--help`` says above the options.
        add_arguments: declares the options. It runs with every command, so what is slow to import waits for ``run``.
        run: does the work and returns the exit code; raises an error of this package, with one clear message, when the
            options do not fit.
    """

    name: str
    help: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
