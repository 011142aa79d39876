"""Weights by closed form: what a layer, or two, must hold to reproduce data, found by algebra."""
