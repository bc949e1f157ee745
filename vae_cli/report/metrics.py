"""The numbers that a report shows, in order, and their names in words."""

from __future__ import annotations

from collections.abc import Sequence

from vae_cli.report.groups import VALIDATION, Group

WORDS = {
    "elbo": "ELBO (nats)",
    "iw_log_likelihood": "IW log-likelihood (nats)",
    "mc_log_likelihood": "MC log-likelihood (nats)",
    "bits_per_dim": "bits per dimension",
    "distortion": "distortion (nats)",
    "rate": "rate (nats)",
    "mutual_information": "mutual information (nats)",
    "aggregated_kl": "KL(q(z) || p(z)) (nats)",
    "aggregated_mmd": "MMD(q(z), p(z))",
    "aggregated_variance": "variance of q(z)",
    "sample_mmd": "MMD(samples, data)",
    "active_units": "active units",
    "code_perplexity": "perplexity of codes",
    "code_usage": "share of codes in use",
    "cluster_accuracy": "cluster accuracy",
    "cluster_nmi": "cluster NMI",
    "cluster_ari": "cluster ARI",
    "mig": "MIG",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "sap": "SAP",
    "factorvae_score": "FactorVAE score",
    "reconstruction_error": "reconstruction error",
    "log_likelihood": "log p(x) (nats)",
    "model_log_likelihood": "model's log p(x) (nats)",
    "posterior_gap": "posterior gap (nats)",
}
SPLITS = ("test", "val", "val_split", "train", "train_split", "exact")
"""val and train as `vae-eval` and earlier versions name what was evaluated."""
MAIN = {"elbo", "iw_log_likelihood", "mc_log_likelihood", "distortion", "rate", "active_units", "cluster_accuracy"}
"""What a terminal has room for."""


def present(groups: Sequence[Group]) -> list[str]:
    """The metrics that at least one finished run has: what runs are chosen by, then test, other splits, exact ones."""
    known = [*VALIDATION, *(f"{split}/{name}" for split in SPLITS for name in WORDS)]
    found = {name for one in groups for run in one.finished for name in run.numbers}
    twice = {name for name in found if name.startswith("val/") and f"validation/{name[4:]}" in found}
    return [name for name in known if name in found - twice]


def words(metric: str) -> str:
    """A metric in words.

    >>> words("test/iw_log_likelihood"), words("validation/elbo")
    ('test IW log-likelihood (nats)', 'validation ELBO (nats)')
    """
    split, _, name = metric.partition("/")
    return f"{split.replace('_', ' ')} {WORDS[name]}"


def is_main(metric: str) -> bool:
    """Whether a terminal shows it."""
    return metric.partition("/")[2] in MAIN
