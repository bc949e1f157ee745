"""Directions of the Kullback-Leibler divergence, on a line where both can be seen."""
