"""Jobs that can train together: a few small runs of five systems."""

FEW = ["dataset=digits", "dataset.subset=96", "network.hidden=[8]", "model.latent_dim=3", "trainer.max_epochs=2"]
SYSTEMS = {
    "elbo": (["annealing=linear"], "objective.beta=1", "objective.beta=4"),
    "iwae": (["objective=iwae", "objective.samples=3"], "optimizer.lr=0.001", "optimizer.lr=0.01"),
    "infovae": (["objective=infovae"], "objective.alpha=0.5", "objective.alpha=0"),
    "tcvae": (["objective=tcvae", "trainer.gradient_clip_val=1"], "objective.beta=2", "objective.beta=6"),
    "vade": (["model=vade", "initialisation=gmm", "pretraining.epochs=1"], "objective.beta=1", "objective.beta=2"),
}
"""The overrides of all jobs of a system, and that in which each of them differs."""
