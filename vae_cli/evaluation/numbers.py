"""The numbers of each metric: key, unit, meaning. Free of torch, so that tables and reports load at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """One key of results.json.

    Args:
        name: the key without its prefix; * stands for any characters
        unit: empty for a number without a unit
        help: one sentence with the formula
        label: the name in a report; a number without a label is in no report
        main: the number is in the tables of a terminal, which have little room
        better: 1 where larger is better, -1 where smaller is, 0 where neither is
    """

    name: str
    unit: str
    help: str
    label: str = ""
    main: bool = False
    better: int = 0


LEFT_OUT = (
    Number(
        "not_finite_rows",
        "",
        "Examples that are left out of all numbers because one of theirs is not finite; only if there are any.",
    ),
    Number("first_not_finite_rows", "", "Positions of the first of these examples in the split, from 0, a list."),
)
BITS = Number(
    "bits_per_dim",
    "bits",
    "-iw_log_likelihood / (D log 2) for x of D dimensions, or -elbo / (D log 2) for codes of a codebook; only if "
    "p(x|z) is a probability.",
    "bits per dimension",
    better=-1,
)
BOUND = (
    Number(
        "elbo",
        "nats",
        "ELBO at beta = 1 for every objective: -distortion - rate, a lower bound on log p(x).",
        "ELBO (nats)",
        main=True,
        better=1,
    ),
    Number("distortion", "nats", "-E_q log p(x|z).", "distortion (nats)", main=True),
    Number("rate", "nats", "KL(q(z|x) || p(z)).", "rate (nats)", main=True),
    Number("rate_z*", "nats", "Rate of one layer of a hierarchy, z1 nearest to x; the layers sum to `rate`."),
    BITS,
)
IMPORTANCE_WEIGHTED = (
    Number(
        "iw_log_likelihood",
        "nats",
        "log 1/k sum_i p(x, z_i) / q(z_i|x), z_i ~ q(z|x): in expectation a lower bound on log p(x), at least the "
        "ELBO (Burda et al. 2015).",
        "IW log-likelihood (nats)",
        main=True,
        better=1,
    ),
    Number(
        "mc_log_likelihood",
        "nats",
        "log 1/k sum_i p(x|z_i), z_i ~ p(z): in expectation a lower bound on log p(x); in place of "
        "`iw_log_likelihood` with `evaluate.estimator=prior`.",
        "MC log-likelihood (nats)",
        main=True,
        better=1,
    ),
    Number("effective_sample_size", "samples", "(sum w)^2 / sum w^2 of the k importance weights, from 1 to k."),
    Number("iw_samples", "", "k, the samples of `iw_log_likelihood` for each example (`evaluate.samples`)."),
    Number("mc_samples", "", "k, the samples of `mc_log_likelihood` for each example (`evaluate.samples`)."),
    BITS,
)
AGGREGATED_POSTERIOR = (
    Number(
        "mutual_information",
        "nats",
        "I_q(x; z) = E log q(z|x) / q(z), at most log N, under the aggregated posterior q(z) = 1/N sum_n q(z|x_n) "
        "of the N examples, at one draw from each of the first 2,000 (100 with a flow posterior).",
        "mutual information (nats)",
    ),
    Number(
        "aggregated_kl",
        "nats",
        "KL(q(z) || p(z)) at the draws of `mutual_information`; the two sum to the rate.",
        "KL(q(z) || p(z)) (nats)",
    ),
    Number(
        "aggregated_mmd",
        "",
        "Unbiased squared MMD between q(z) and p(z) under an RBF kernel of bandwidth sqrt(d); 0 in expectation if "
        "they are equal.",
        "MMD(q(z), p(z))",
    ),
    Number("aggregated_variance", "", "Variance of z under q(z), mean over dimensions.", "variance of q(z)"),
)
SAMPLE_MMD = (
    Number(
        "sample_mmd",
        "",
        "Unbiased squared MMD between the first 2,000 examples of the split and as many means E[x|z], z ~ p(z), "
        "under an RBF kernel by the median heuristic, of standardised data in their standard deviations; 0 in "
        "expectation if the two distributions are equal. Only for a model without an encoder.",
        "MMD(samples, data)",
        better=-1,
    ),
)
ACTIVE_UNITS = (
    Number(
        "active_units",
        "dimensions",
        "Latent dimensions with Var_x(E_q[z_j]) > `evaluate.active_threshold`.",
        "active units",
        main=True,
    ),
)
CODE_USAGE = (
    Number(
        "code_perplexity",
        "codes",
        "exp of the entropy of the codes' shares over the split, at most K.",
        "perplexity of codes",
    ),
    Number("code_usage", "", "Share of the K codes that occur in the split.", "share of codes in use"),
    Number("code_uniform_rate", "nats", "n log K, the rate if all codes were equally likely."),
)
CLUSTERS = (
    Number(
        "cluster_accuracy",
        "",
        "Share of the examples whose cluster is their label under the best one-to-one matching (Hungarian method).",
        "cluster accuracy",
        main=True,
        better=1,
    ),
    Number("cluster_nmi", "", "Normalised mutual information between clusters and labels.", "cluster NMI", better=1),
    Number("cluster_ari", "", "Adjusted Rand index between clusters and labels.", "cluster ARI", better=1),
    Number("cluster_entropy", "nats", "Mean entropy of q(c|x), from 0, where each cluster is certain, to log K."),
    Number("cluster_occupancy", "", "Share of the examples assigned to each component, a list."),
    Number("cluster_weights", "", "Weights of the components of the prior, a list."),
)
RECONSTRUCTION = (
    Number(
        "reconstruction_error",
        "squared",
        "|x - E[x|z]|^2 at z = E_q[z], summed over x, in the units of the data.",
        "reconstruction error",
        better=-1,
    ),
)
DISENTANGLEMENT = (
    Number(
        "mig",
        "",
        "Mutual information gap: mean over factors v_k of (I(z_j; v_k) - I(z_j'; v_k)) / H(v_k), j and j' the best "
        "and the second best dimension, posterior means in 20 bins, of at most 5,000 examples.",
        "MIG",
        better=1,
    ),
    Number(
        "dci_disentanglement",
        "",
        "1 - entropy of a dimension's importances over factors, in random forests that predict each factor from "
        "the posterior mean.",
        "DCI disentanglement",
        better=1,
    ),
    Number(
        "dci_completeness",
        "",
        "1 - entropy of a factor's importances over dimensions, in the same forests.",
        "DCI completeness",
        better=1,
    ),
    Number(
        "dci_informativeness",
        "",
        "Mean accuracy of the forests on the half of the examples that is held out.",
        "DCI informativeness",
        better=1,
    ),
    Number(
        "sap",
        "",
        "Mean gap in balanced accuracy between the two dimensions that best predict a factor, by thresholds.",
        "SAP",
        better=1,
    ),
    Number(
        "factorvae_score",
        "",
        "Share of votes in which the active dimension that varies least among examples with a common factor "
        "names that factor; 1/F by chance for F factors.",
        "FactorVAE score",
        better=1,
    ),
)
GAPS = (
    Number("images", "", "Examples of the split that the gaps are computed for (`evaluate.gaps.images`)."),
    *LEFT_OUT,
    Number("elbo", "nats", "ELBO of the encoder's q(z|x)."),
    Number("refined_elbo", "nats", "ELBO of the best Gaussian q(z|x), optimised for each example by itself."),
    Number("iw_log_likelihood", "nats", "Importance-weighted log-likelihood with the encoder's q(z|x)."),
    Number("refined_iw_log_likelihood", "nats", "Importance-weighted log-likelihood with the refined q(z|x)."),
    Number(
        "ais_log_likelihood",
        "nats",
        "Annealed importance sampling with Hamiltonian moves, in expectation a lower bound on log p(x).",
    ),
    Number(
        "ais_over_refined_iw",
        "nats",
        "ais_log_likelihood - refined_iw_log_likelihood: 0 within its error if both estimates are right.",
    ),
    Number("amortisation", "nats", "Amortisation gap: refined_elbo - elbo."),
    Number("approximation", "nats", "Approximation gap: ais_log_likelihood - refined_elbo."),
    Number("simulated_lower", "nats", "Lower bound on log p(x) of as many x drawn from the model."),
    Number("simulated_upper", "nats", "Upper bound on log p(x) of these x, by chains in the other direction."),
)
EXACT = (
    Number(
        "log_likelihood",
        "nats",
        "log p(x) of the split under the density that generated the data, where it is known.",
        "log p(x) (nats)",
    ),
    Number(
        "model_log_likelihood",
        "nats",
        "Exact log p(x) of a model with a linear decoder, a Gaussian likelihood, and a normal or mixture prior.",
        "model's log p(x) (nats)",
    ),
    Number(
        "posterior_gap",
        "nats",
        "log p(x) - ELBO at the best q(z|x) of the family, for such a model with a normal prior.",
        "posterior gap (nats)",
    ),
)
