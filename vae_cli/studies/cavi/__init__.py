"""Coordinate-ascent mean-field variational inference for two models with closed-form steps."""
