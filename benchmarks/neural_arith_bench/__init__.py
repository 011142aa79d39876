"""Published experiments and benchmarks of neural_arith: what ``neural-arith bench`` lists, a distribution of its own."""
