"""Experiments on single laws: how often they are found, and whether units matter."""
