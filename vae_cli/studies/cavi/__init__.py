"""Mean-field variational inference by coordinate ascent, for two models in which every step has a closed form."""
