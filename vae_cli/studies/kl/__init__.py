"""Directions of the Kullback-Leibler divergence in one dimension."""
