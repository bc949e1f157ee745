"""Rules about latents: graphs of hierarchies, parameters for each example, the training of a prior."""

from __future__ import annotations

from vae_cli.config.view import ConfigView, Refusal, lacking, providing
from vae_cli.errors import ConfigError, counted
from vae_cli.models.graphs import generation_graph, inference_graph


def latent_graphs(view: ConfigView) -> Refusal | None:
    """The parents in a hierarchy are nodes of acyclic graphs."""
    if "layers" not in view.provides("model"):
        return None
    try:
        generation_graph("model.generation", view.argument("model.generation"), _layers(view))
        if (parents := view.argument("posterior.parents")) is not None:
            inference_graph("posterior.parents", parents, _layers(view))
    except ConfigError as error:
        return Refusal(str(error).partition(":")[0], str(error))
    return None


def upper_layers(view: ConfigView) -> Refusal | None:
    """The distortion depends on the lowest layer of a hierarchy alone."""
    if "layers" not in view.provides("model") or {"rate", "divergence"} & {*view.provides("objective")}:
        return None
    return Refusal(
        "objective",
        f"{view.name('objective')} weighs neither rate nor divergence, by which alone the upper layers of "
        f"{view.name('model')} learn",
        (providing("objective", "rate"), lacking("model", "layers")),
    )


def free_bits_layers(view: ConfigView) -> Refusal | None:
    """Several values of free bits are one for each layer of latents."""
    key, floors, count = "objective.free_bits", view.argument("objective.free_bits"), _layers(view)
    if not isinstance(floors, list) or len(floors) == count:
        return None
    one, each = max(floors, default=0), ",".join(["0.1"] * count)
    return Refusal(
        key,
        f"{key}={floors}: the model has {counted(count, 'layer')} of latents ({view.where(key)})",
        (f"{key}={one}", f"one number for each, as in {key}=[{each}]"),
    )


def categories_divide(view: ConfigView) -> Refusal | None:
    """Categorical latents divide latent_dim into blocks of K entries, and one category would hold no information."""
    k, size = view.argument("posterior.categories"), view.argument("model.latent_dim")
    if k is None or (k > 1 and size % k == 0):
        return None
    key, variables = "model.latent_dim", max(1, round(size / max(2, k)))
    fitting = f"{key}={max(2, k) * variables}{' posterior.categories=2' * (k < 2)}"
    return Refusal(
        key,
        f"{key}={size} ({view.where(key)}) is not a number of variables times posterior.categories={k}",
        (fitting,),
    )


def _layers(view: ConfigView) -> int:
    return len(view.argument("model.below") or []) + 1


def per_example_binarize(view: ConfigView) -> Refusal | None:
    """Parameters for each training example are those of one x."""
    key = "dataset.binarize"
    if "per_example" not in view.provides("posterior") or view.binarize() != "dynamic":
        return None
    return Refusal(
        key,
        f"{view.name('posterior')} has one q(z|x) for each example, {key}=dynamic ({view.where(key)}) draws x anew "
        "at each visit",
        (f"{key}=static", lacking("posterior", "per_example")),
    )


def per_example_objective(view: ConfigView) -> Refusal | None:
    """Steps of the parameters of each example ascend the ELBO, so that the objective must be the ELBO."""
    key, steps = "refinement.train_steps", view.argument("refinement.train_steps")
    if not steps or "per_example" not in view.provides("posterior"):
        return None
    floors = view.argument("objective.free_bits")
    needed = {
        providing("objective", "elbo"): "elbo" not in view.provides("objective"),
        "objective.beta=1": view.argument("objective.beta") not in (None, 1),
        "objective.free_bits=0": any(floors) if isinstance(floors, list) else floors,
        "annealing=none": view.config.annealing is not None,
    }
    if not any(needed.values()):
        return None
    return Refusal(
        key,
        f"{key}={steps} ({view.where(key)}) moves the parameters of {view.name('posterior')} up the ELBO, "
        f"{view.name('objective')} with its weights differs from it",
        (f"{key}=0", " ".join(way for way, missing in needed.items() if missing)),
    )


def gaps_posterior(view: ConfigView) -> Refusal | None:
    """Inference gaps compare a Gaussian q(z|x) with the best one."""
    if not view.config.evaluate.gaps or "refinable" in view.provides("posterior"):
        return None
    return Refusal(
        "evaluate.gaps",
        f"evaluate.gaps ({view.where('evaluate.gaps')}) compares q(z|x) with the best Gaussian, "
        f"{view.name('posterior')} is not Gaussian",
        (providing("posterior", "refinable"), "evaluate=standard"),
    )


def prior_gradient(view: ConfigView) -> Refusal | None:
    """A prior learns from the rate alone."""
    weighed = "rate" in view.provides("objective")
    if "alpha_lambda" in view.provides("objective"):
        weighed = view.argument("objective.alpha") != 1
    if weighed or view.config.second_stage or "learned" not in view.provides("prior"):
        return None
    return Refusal(
        "prior",
        f"{view.name('prior')} learns from the rate, which {view.name('objective')} does not weigh",
        (lacking("prior", "learned"), providing("objective", "rate")),
    )
