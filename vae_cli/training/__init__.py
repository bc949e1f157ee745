"""One LightningModule for every system, and what surrounds it."""
