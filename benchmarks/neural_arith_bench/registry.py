"""Which benchmarks ``neural-arith bench`` knows. A new one is a `Benchmark` in this tuple, and nothing else."""

from __future__ import annotations

from neural_arith_bench.arithmetic.command import ARITHMETIC_BENCHMARKS
from neural_arith_bench.arithmetic.digits_command import SEQUENTIAL_DIGITS
from neural_arith_bench.arithmetic.fractional_sir import FRACTIONAL_SIR
from neural_arith_bench.benchmark import Benchmark
from neural_arith_bench.suite_command import SUITE_BENCHMARKS

BENCHMARKS: tuple[Benchmark, ...] = (*SUITE_BENCHMARKS, *ARITHMETIC_BENCHMARKS, SEQUENTIAL_DIGITS, FRACTIONAL_SIR)
