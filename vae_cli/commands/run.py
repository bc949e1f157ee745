"""A run's folder as an object: `run = vae_cli.load(folder)`, then encode, decode, sample, score."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from vae_cli.batch import Batch
from vae_cli.commands import notebook
from vae_cli.commands.examples import Source, example, examples, numbered, of_split
from vae_cli.commands.transformer import Transformer
from vae_cli.config.data_paths import relocated
from vae_cli.config.parse import parsed_as
from vae_cli.config.schema import TrainConfig
from vae_cli.datasets import Data
from vae_cli.datasets.arrays import numbers
from vae_cli.datasets.info import DatasetInfo
from vae_cli.datasets.schema import Schema
from vae_cli.distributions.mixtures import is_mixture, log_responsibilities
from vae_cli.distributions.standardisation import in_own_units
from vae_cli.distributions.tempering import tempered
from vae_cli.errors import UserError, first_line
from vae_cli.evaluation.scores import Scores, score
from vae_cli.models.model import LatentVariableModel
from vae_cli.runs import checkpoints, hub
from vae_cli.runs.checkpoints import load_weights
from vae_cli.runs.find import named
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.run_files import CONFIG
from vae_cli.training.build import build_module
from vae_cli.training.data_location import load_again, other_data
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.types import Domain

if TYPE_CHECKING:
    from pandas import DataFrame


class Run(Transformer):
    """A trained model with its configuration; log-likelihoods are nats (N,).

    x is an array, a tensor or a DataFrame (N, *event), the path of a file, the name of a split, or an iterator of
    arrays.
    """

    def __init__(self, folder: Path, config: TrainConfig, facts: DatasetInfo, module: LatentModelModule) -> None:
        self.folder, self.config, self.facts, self.module = folder, config, facts, module

    def __repr__(self) -> str:
        return notebook.text(f"Run of {RunFolder(self.folder)}", notebook.summary(self))

    def _repr_html_(self) -> str:
        return notebook.html(f"Run of {RunFolder(self.folder)}", notebook.summary(self))

    @property
    def model(self) -> LatentVariableModel:
        """The model, in evaluation mode."""
        return self.module.model

    @property
    def results(self) -> dict[str, Any]:
        """The numbers of results.json; `vae-train --help results` explains each."""
        return RunFolder(self.folder).results()

    @property
    def history(self) -> DataFrame:
        """The numbers of metrics.csv by epoch; empty for logger=none, which writes none."""
        from pandas import DataFrame

        rows = RunFolder(self.folder).history()
        return DataFrame(rows).astype({"epoch": int, "step": int}).set_index("epoch") if rows else DataFrame()

    @property
    def figures(self) -> notebook.Figures:
        """The figures of the run by name, which a notebook displays."""
        return notebook.Figures.of(RunFolder(self.folder).figures)

    @cached_property
    def schema(self) -> Schema:
        """The facts of the training data by which new data are read."""
        return Schema.read(RunFolder(self.folder))

    @cached_property
    def data(self) -> Data:
        """The training data set with its splits; UserError if the data have changed."""
        data = load_again(self.config)
        if data.sha256 != self.facts.sha256:
            raise other_data(RunFolder(self.folder), self.config, self.facts, DatasetInfo.of(data))
        return replace(data, standardisation=self.facts.standardisation)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the labels, in their order; None where labels are numbers."""
        return self.facts.class_names

    def batch(self, x: Source) -> Batch:
        """x converted as the data of a file: (N, *event), or (N, H, W) or (N, D) of one channel.

        Bytes of images become k/255, a table is standardised as the training rows were.
        """
        return numbered(torch.cat([part.x for _, part in examples(self, x).batches]))

    @torch.no_grad()
    def encode(self, x: Source) -> Distribution:
        """q(z|x), with `.mean` (N, d) and `.sample()`."""
        return self.model.encode(self.batch(x))

    @torch.no_grad()
    def decode(self, z: ArrayLike | Tensor) -> Distribution:
        """p(x|z) for z (N, d), with `.mean` (N, *event) and `.sample()`, in the data's own units."""
        codes = torch.tensor(numbers(z, "z"), dtype=torch.float32, device=self.module.device)
        if codes.dim() != 2 or codes.shape[1] != self.model.latent_dim:
            raise UserError(f"z has shape {tuple(codes.shape)}; this model takes (N, {self.model.latent_dim})")
        return in_own_units(self.model.decode(codes))

    def reconstruct(self, x: Source) -> Tensor:
        """E[x|z] at z = E_q[z|x], in the data's own units: (N, *event)."""
        if not self.model.infers:
            raise UserError("posterior=none: the model has no encoder, so it reconstructs no x")
        return self.decode(self.encode(x).mean).mean

    @property
    def prior(self) -> Distribution:
        """p(z), once it is fitted."""
        prior = self.model.prior
        if not prior.is_fitted:
            problem = "the mixture on the codes is not fitted in this checkpoint"
            raise UserError(f"{self.folder}: {problem}; use ckpt=best, or train the model again")
        return prior()

    @property
    def has_clusters(self) -> bool:
        """True if p(z) is a fitted mixture."""
        return is_mixture(self.model.prior())

    @property
    def mixture(self) -> MixtureSameFamily:
        """p(z) where it is a mixture."""
        if not is_mixture(prior := self.prior):
            raise UserError(
                f"{self.folder}: its p(z) has no components; train with model=vade, or prior=mixture and one layer of z"
            )
        return prior

    @torch.no_grad()
    def responsibilities(self, x: Source) -> Tensor:
        """q(c|x), the best one that depends on x alone: (N, K), each row summing to 1."""
        return log_responsibilities(self.mixture, self.encode(x)).exp()

    def cluster(self, x: Source) -> Tensor:
        """The component with the largest responsibility for each x, (N,)."""
        return self.responsibilities(x).argmax(-1)

    @torch.no_grad()
    def draw(self, n: int, component: int | None = None, temperature: float = 1.0) -> Tensor:
        """z ~ p(z), or z ~ p(z|c) of one component, at `temperature` times its distance from the mean: (n, d)."""
        positive(n, "n")
        if component is not None and not 0 <= component < (count := len(self.mixture.mixture_distribution.probs)):
            raise UserError(f"component={component}: the prior's components are 0 to {count - 1}")
        return tempered(self.prior, n, temperature, component)

    @torch.no_grad()
    def sample(self, n: int, component: int | None = None, temperature: float = 1.0) -> Tensor:
        """n means of p(x|z), z ~ p(z) or z ~ p(z|c) of one component: (n, *event)."""
        return self.decode(self.draw(n, component, temperature)).mean

    @torch.no_grad()
    def between(self, first: Source, second: Source, n: int) -> Tensor:
        """n points on the line from E_q[z|x] of one example to that of another: (n, d).

        Args:
            first, second: x (1, *event), or a text: SPLIT:ROW, FILE:ROW, or a file, whose first example counts
        """
        positive(n, "n")
        ends = [example(self, x) if isinstance(x, str) else self.batch(x) for x in (first, second)]
        start, end = (self.model.encode(batch).mean for batch in ends)
        return torch.lerp(start, end, torch.linspace(0, 1, n, device=start.device).unsqueeze(1))

    def score(self, x: Source, samples: int = 100, seed: int = 0, reference: int = 0) -> Scores:
        """ELBO, distortion, rate and importance-weighted log p(x) of each example: nats, (N,) each, on the CPU.

        A row depends on its x, on `samples` and on `seed` alone.

        Args:
            samples: k, the draws of q(z|x)
            reference: training examples whose scores give each score's percentile; 0: no percentile
        """
        if not self.model.has_density:
            lacks = "a deterministic posterior has no density" if self.model.infers else "the model has no encoder"
            raise UserError(f"{lacks}, so there is no log-likelihood of x")
        positive(samples, "samples")
        found = Scores.cat([score(self.model, batch, samples, seed) for _, batch in examples(self, x).batches])
        if not reference:
            return found
        known = of_split(self, "train", reference).batches
        scores = [score(self.model, batch, samples, seed).log_likelihood for _, batch in known]
        return found.among(torch.cat(scores))


def positive(count: int, name: str) -> None:
    """Raise UserError unless it is a whole number above 0."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise UserError(f"{name}={count!r}: an integer > 0 is needed")


def load(
    folder: str | Path,
    ckpt: str = "best",
    device: str | torch.device = "cpu",
    *,
    dataset_path: str | Path | None = None,
    dataset_root: str | Path | None = None,
) -> Run:
    """The run in a folder, from its best or last checkpoint or a file.

    Args:
        folder: of the run, or its name; `last` is the newest; hf://USER/NAME is a run that vae-push has published
        dataset_path: present place of moved data, for `Run.data`.
        dataset_root: likewise, for data sets with a root folder.
    """
    place = str(folder)
    run = RunFolder(hub.fetched(place) if place.startswith(hub.SCHEME) else named(place))
    if not run.has_config:
        raise UserError(f"{folder}: not the folder of a run (it holds no {CONFIG})")
    config = parsed_as(TrainConfig, run.config())
    places = {"dataset.path": dataset_path, "dataset.root": dataset_root}
    config = relocated(config, {key: None if place is None else str(place) for key, place in places.items()})
    path = run.checkpoint(ckpt)
    checkpoint = checkpoints.load(path, device)
    data = checkpoint["data"]
    try:
        facts = DatasetInfo.read(data)
        if facts.domain not in get_args(Domain):
            raise ValueError(f"domain {facts.domain}")
        module = build_module(config, facts)
    except UserError:
        raise
    except Exception as error:  # torch raises many kinds of exception for impossible sizes
        problem = f"its facts of the data (event_shape={data['event_shape']}) fit no model of the run's {CONFIG}"
        raise UserError(f"{path}: {problem} ({first_line(error)}); {checkpoints.others(path)}") from error
    load_weights(module, checkpoint, path)
    return Run(run.path, config, facts, module.to(device).eval())
