"""Training: one LightningModule for every system, phases, callbacks, checkpoints, loggers."""
