"""Published experiments and benchmarks of neural_arith: a distribution of its own, behind ``neural-arith bench``."""
