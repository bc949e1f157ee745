"""The latent space of a run around the codes of some examples: a map, the active latents, decoded pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from vae_cli.commands.examples import SPLITS, examples, of_split
from vae_cli.commands.explore.pictures import Picture
from vae_cli.commands.run import Run
from vae_cli.config.command_schemas import ExploreConfig
from vae_cli.distributed.progress import task
from vae_cli.evaluation.umap_embedding import umap_embedding

Array = NDArray[np.floating]
NEIGHBOURS = 5
"""Codes whose weighted mean a point of a UMAP map stands for, because UMAP has no inverse."""


@dataclass(frozen=True)
class Map:
    """Codes (N, d) as points (N, 2), and the code that a point stands for.

    axes: (2, d), orthonormal, of a linear map; None for UMAP
    """

    codes: Array
    points: Array
    axes: Array | None = None

    @classmethod
    def of(cls, codes: Array, kind: str) -> Map:
        """A map of codes by their principal components, or by UMAP."""
        if kind == "umap":
            return cls(codes, umap_embedding(codes, 2, 15, 0.1, seed=0))
        centred = codes - codes.mean(0)
        axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
        if len(axes) < 2:  # z has one dimension
            axes = np.vstack([axes, np.zeros_like(axes)])
        return cls(codes, centred @ axes.T, axes)

    def code(self, x: float, y: float) -> Array:
        """The code (d,) of a point: on the plane of the components, or a mean of the codes of its neighbours."""
        if self.axes is not None:
            return self.codes.mean(0) + np.array([x, y]) @ self.axes
        apart = np.square(self.points - [x, y]).sum(1)
        near = apart.argsort()[:NEIGHBOURS]
        weights = 1 / (apart[near] + 1e-9)
        return weights @ self.codes[near] / weights.sum()


@dataclass(frozen=True)
class Space:
    """The examples of a page with their codes.

    pictures, labels: HTML and label of each example
    active: numbers of the latents, first the one whose mean varies most
    components: means (K, d) of a mixture prior; (0, d) for another prior
    """

    run: Run
    picture: Picture
    pictures: list[str]
    labels: list[str]
    map: Map
    active: list[int]
    components: Array

    @classmethod
    @torch.no_grad()
    def of(cls, run: Run, config: ExploreConfig) -> Space:
        """The space around n examples of a split or of a file."""
        name = SPLITS.get(config.data)
        source = of_split(run, name, config.n) if name else examples(run, config.data)
        codes, x, labels = [], [], list[str]()
        with task("encoding the examples"):
            for columns, batch in islice(source.batches, -(-config.n // 1000)):
                codes.append(run.model.encode(batch).mean)
                x.append(run.model.likelihood.original(batch.x))
                labels += map(str, columns.get("label", columns["id"]))
        z, shown = torch.cat(codes)[: config.n].numpy(), torch.cat(x)[: config.n].numpy()
        picture = Picture.of(shown, run.facts.domain, run.schema.entries)
        pictures = [picture.html(one, f"example {number}") for number, one in enumerate(shown)]
        active = z.var(0).argsort()[::-1].tolist()
        means = run.mixture.component_distribution.mean.numpy() if run.has_clusters else z[:0]
        return cls(run, picture, pictures, labels[: config.n], Map.of(z, config.map), active, means)

    def decoded(self, codes: Array, alt: str) -> str:
        """E[x|z] of codes (n, d) side by side, as HTML."""
        x = self.run.decode(codes.astype(np.float32)).mean.numpy()
        return "".join(self.picture.html(one, f"{alt} {number}") for number, one in enumerate(x))

    def between(self, first: int, last: int, count: int) -> Array:
        """Codes (count, d) on the line from one example's to another's, both included."""
        share = np.linspace(0, 1, count)[:, None]
        return (1 - share) * self.map.codes[first] + share * self.map.codes[last]
