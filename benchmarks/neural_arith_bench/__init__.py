"""Published experiments and benchmarks of neural_arith, a distribution of its own: ``neural-arith bench``."""
