"""The valid spelling nearest to a wrong one, and the keys for other names in the field."""

from collections.abc import Sequence
from difflib import get_close_matches

KEYS = {
    "epoch": "trainer.max_epochs",
    "epochs": "trainer.max_epochs",
    "n_epochs": "trainer.max_epochs",
    "num_epochs": "trainer.max_epochs",
    "learning_rate": "optimizer.lr",
    "batch": "dataset.batch_size",
    "bs": "dataset.batch_size",
    "batch_size": "dataset.batch_size",
    "batchsize": "dataset.batch_size",
    "beta": "objective.beta",
    "kl_weight": "objective.beta",
    "lr": "optimizer.lr",
    "wd": "optimizer.weight_decay",
    "k": "evaluate.samples",
    "latent": "model.latent_dim",
    "latent_dims": "model.latent_dim",
    "latent_size": "model.latent_dim",
    "n_latent": "model.latent_dim",
    "z_dim": "model.latent_dim",
    "hidden_dims": "network.hidden",
    "layers": "network.hidden",
    "encoder": "network",
    "decoder": "network",
    "architecture": "network",
    "loss": "objective",
    "grad_clip": "trainer.gradient_clip_val",
    "early_stopping": "trainer.patience",
    "device": "trainer.accelerator",
    "gpu": "trainer.accelerator",
    "gpus": "trainer.devices",
    "data": "dataset",
    "data_dir": "dataset.root",
    "out": "hydra.run.dir",
    "load": "init",
    "checkpoint": "init",
    "run": "resume",
    "output": "hydra.run.dir",
    "output_dir": "hydra.run.dir",
    "save_dir": "hydra.run.dir",
}
"""Names of the field, and the keys of vae-train that they mean."""

OPTIONS = {
    "likelihood": {
        "bce": "likelihood=bernoulli",
        "mse": "likelihood=gaussian",
        "normal": "likelihood=gaussian",
        "softmax": "likelihood=categorical",
    },
    "model": {
        "beta_tcvae": "objective=tcvae",
        "beta_vae": "objective.beta=4",
        "betavae": "objective.beta=4",
        "convvae": "model=conv_vae",
        "dreg": "objective=dreg",
        "factor_vae": "objective=factorvae",
        "factorvae": "objective=factorvae",
        "gmvae": "model=vade",
        "hierarchical": "model=hvae",
        "info_vae": "objective=infovae",
        "infovae": "objective=infovae",
        "iwae": "objective=iwae",
        "ladder": "model=hvae",
        "tcvae": "objective=tcvae",
        "vamp": "prior=vamp",
        "vampvae": "prior=vamp",
    },
    "objective": {
        "beta_vae": "objective.beta=4",
        "betavae": "objective.beta=4",
        "kl": "objective=elbo",
        "mmd": "objective=mmd_vae",
        "mse": "likelihood=gaussian",
        "vae": "objective=elbo",
    },
    "posterior": {
        "gaussian": "posterior=diagonal",
        "normal": "posterior=diagonal",
        "full": "posterior=full_covariance",
    },
    "prior": {
        "gmm": "prior=mixture",
        "mog": "prior=mixture",
        "standard_normal": "prior=normal",
        "vampprior": "prior=vamp",
    },
    "dataset": {
        "csv": "dataset=table",
        "custom": "dataset=array or dataset=image_folder",
        "dsprites": "dataset=array",
        "fashion": "dataset=fashion_mnist",
        "fmnist": "dataset=fashion_mnist",
        "folder": "dataset=image_folder",
        "images": "dataset=image_folder",
        "celeba": "dataset=torchvision",
        "npy": "dataset=array",
        "npz": "dataset=array",
        "numpy": "dataset=array",
    },
    "network": {"cnn": "network=conv", "fc": "network=mlp"},
}
"""By group: names of the field, and the overrides that they mean."""


def similar(word: str, words: Sequence[str], count: int = 2) -> list[str]:
    """At most `count` of the words that begin with this one or resemble it.

    >>> similar("objectve", ["model", "objective", "posterior"]), similar("x", ["model"])
    (['objective'], [])
    """
    begun = [other for other in words if word and other.startswith(word)]
    return list(dict.fromkeys([*begun, *get_close_matches(word, words, count)]))[:count]


def nearest(word: str, words: Sequence[str], before: str = "") -> str:
    """The words that resemble this one as a hint, each after `before`; empty if none does.

    >>> nearest("vaee", ["vade", "vae"], "model="), nearest("x", ["model"])
    ('nearest: model=vae, model=vade', '')
    """
    found = [f"{before}{one}" for one in similar(word, words)]
    return f"nearest: {', '.join(found)}" if found else ""


def meant_key(word: str) -> str | None:
    """The key of vae-train that a name of the field means.

    >>> meant_key("num-epochs"), meant_key("nonsense")
    ('trainer.max_epochs', None)
    """
    return KEYS.get(word.lower().replace("-", "_"))


def meant_option(group: str, word: str) -> str | None:
    """The override for an option that a group does not have.

    >>> meant_option("model", "IWAE"), meant_option("model", "nonsense")
    ('objective=iwae', None)
    """
    return OPTIONS.get(group, {}).get(word.lower().replace("-", "_"))
