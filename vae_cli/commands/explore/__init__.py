"""The explorer: a page on this machine that shows the latent space of a run."""
