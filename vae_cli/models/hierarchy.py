"""Hierarchies: M layers of latents z = (z_1, ..., z_M), q(z|x) and p(z) each factorised along a graph of its own.

Shape legend: S samples, B batch, d_j dimensions of layer j, d their sum; z (..., d) holds the layers side by side, the
nearest to x first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.gaussians import log_gaussian
from vae_cli.distributions.hierarchical import Factor, HierarchicalDistribution, Known
from vae_cli.distributions.precision import float32
from vae_cli.models.graphs import Graph, Parents, X, bottom_up, generation_graph, inference_graph, layer_names, top_down
from vae_cli.models.layers import apply_rows, dense
from vae_cli.models.likelihoods import Likelihood
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.networks import Network
from vae_cli.models.posteriors import Posterior
from vae_cli.models.priors import Prior
from vae_cli.models.trace import Latent, Trace
from vae_cli.types import Activation, PositiveInt, Shape


class Conditional(nn.Module):
    """N(z_j; m, diag s^2), (m, log s^2) fully connected layers of all parents side by side."""

    def __init__(self, inputs: int, hidden: Sequence[int], size: int, activation: str) -> None:
        super().__init__()
        self.network = dense([inputs, *hidden, 2 * size], activation)

    def forward(self, parents: Sequence[Tensor]) -> Distribution:
        """For parents (..., d_i) of shapes that broadcast."""
        lead = torch.broadcast_shapes(*(parent.shape[:-1] for parent in parents))
        together = torch.cat([parent.expand(*lead, -1) for parent in parents], -1)
        loc, log_variance = apply_rows(self.network, together).chunk(2, -1)
        return log_gaussian(loc, 0.5 * log_variance, 1)


class StructuredPosterior(Posterior):
    """q(z|x) = prod_j q(z_j | Pa(z_j), x) along `parents`, as in {z1: [x, z2], z2: [x]}.

    Each factor with x as a parent has its own encoder, which runs once for each image.

    Args:
        parents: parents of each layer.
        hidden: widths of the hidden layers from parents to latents.
        activation: activation of these layers.
    """

    provides: ClassVar = ("inference", "density", "continuous", "encoder", "layers")
    requires: ClassVar = {"objective": ("inference",), "prior": ("joint",), "model": ("layers",)}
    moments_are_conditional: ClassVar = True

    def __init__(
        self,
        network: Network,
        event_shape: Shape,
        layers: list[int],
        *,
        parents: dict[str, list[str]],
        hidden: list[PositiveInt],
        activation: Activation,
    ) -> None:
        super().__init__()
        self.graph = inference_graph("posterior.parents", parents, len(layers))
        self.sizes = dict(zip(layer_names(len(layers)), layers, strict=True))
        self.encoders, self.conditionals = nn.ModuleDict(), nn.ModuleDict()
        for name, size in self.sizes.items():
            above = self.graph.parents[name]
            latents = [self.sizes[parent] for parent in above if parent != X]
            features = (hidden[-1] if hidden else 2 * size) if latents else 2 * size
            if X in above:
                self.encoders[name] = network.encoder(event_shape, features)
            if latents:
                inputs = sum(latents) + (features if X in above else 0)
                self.conditionals[name] = Conditional(inputs, hidden, size, activation)

    def forward(self, batch: Batch) -> HierarchicalDistribution:
        """q(z|x): batch shape (B,), event shape (d,)."""
        seen = {name: encoder(batch.x).to(torch.float32) for name, encoder in self.encoders.items()}
        factors = {name: partial(self._factor, name, seen.get(name)) for name in self.sizes}
        return HierarchicalDistribution(factors, self.sizes, self.graph.order, batch.x.shape[:1])

    def _factor(self, name: str, seen: Tensor | None, known: Known) -> Distribution:
        parents = [known[parent] for parent in self.graph.parents[name] if parent != X]
        if seen is None:
            return self.conditionals[name](parents)
        if parents:
            return self.conditionals[name]([seen, *parents])
        loc, log_variance = seen.chunk(2, -1)
        return log_gaussian(loc, 0.5 * log_variance, 1)


class BottomUp(StructuredPosterior):
    """q(z_1|x) q(z_2|z_1) ... q(z_M|z_M-1) (Burda et al. 2015, section 3)."""

    parents_of = staticmethod(bottom_up)

    def __init__(
        self,
        network: Network,
        event_shape: Shape,
        layers: list[int],
        *,
        hidden: list[PositiveInt],
        activation: Activation,
    ) -> None:
        parents = {name: list(above) for name, above in self.parents_of(len(layers)).items()}
        super().__init__(network, event_shape, layers, parents=parents, hidden=hidden, activation=activation)


class TopDown(BottomUp):
    """q(z_M|x) q(z_M-1|z_M, x) ... q(z_1|z_2, x): in the order of the prior (Sonderby et al. 2016)."""

    parents_of = staticmethod(top_down)


class StructuredPrior(Prior):
    """p(z) = p(z_M) prod_j p(z_j | Pa(z_j)), any prior at the top."""

    def __init__(
        self, top: Prior, graph: Graph, sizes: Mapping[str, int], hidden: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        self.top, self.graph, self.sizes = top, graph, dict(sizes)
        *below, self.top_name = self.sizes
        self.conditionals = nn.ModuleDict()
        for name in below:
            inputs = sum(sizes[parent] for parent in graph.parents[name])
            self.conditionals[name] = Conditional(inputs, hidden, sizes[name], activation)

    def forward(self) -> HierarchicalDistribution:
        """p(z): batch shape (), event shape (d,)."""
        factors: dict[str, Factor] = {name: partial(self._factor, name) for name in self.sizes}
        order = [self.top_name, *(name for name in self.graph.order if name != X)]
        return HierarchicalDistribution(factors, self.sizes, order, torch.Size())

    def _factor(self, name: str, known: Known) -> Distribution:
        if name == self.top_name:
            return self.top()
        return self.conditionals[name]([known[parent] for parent in self.graph.parents[name]])


class HierarchicalVAE(LatentVariableModel):
    """p(x, z) = p(z_M) prod_j p(z_j | Pa(z_j)) p(x | Pa(x)) with a structured q(z|x); one rate for each layer.

    Args:
        latent_dim: d_M, dimensions of the top layer.
        below: d_1, ..., d_M-1, dimensions of the layers below it, the nearest to x first.
        generation: parents of x and of each layer below the top, as in {x: [z1], z1: [z2]}; null for a chain.
        hidden: widths of the hidden layers from latents to latents.
        activation: activation of these layers.
    """

    provides: ClassVar = ("layers",)
    requires: ClassVar = {"posterior": ("layers",)}

    columns: Tensor

    def __init__(
        self,
        posterior: StructuredPosterior,
        prior: Prior,
        likelihood: Likelihood,
        *,
        latent_dim: PositiveInt,
        below: list[PositiveInt],
        generation: dict[str, list[str]] | None,
        hidden: list[PositiveInt],
        activation: Activation,
    ) -> None:
        layers = self.layer_sizes(latent_dim=latent_dim, below=below)
        graph = generation_graph("model.generation", generation, len(layers))
        sizes = dict(zip(layer_names(len(layers)), layers, strict=True))
        structured = StructuredPrior(prior, graph, sizes, hidden, activation)
        super().__init__(posterior, structured, likelihood, latent_dim=sum(layers))
        places = dict(zip(sizes, torch.arange(sum(layers)).split(layers), strict=True))
        self.read_by_x = [j for name in graph.parents[X] for j in places[name].tolist()]
        self.register_buffer("columns", torch.tensor(self.read_by_x), persistent=False)
        drawn_later = {name: posterior.graph.descendants(name) for name in sizes}
        self.needs_sampled_kl = [bool(drawn_later[name] & set(graph.parents.get(name, ()))) for name in sizes]

    @staticmethod
    def layer_sizes(*, latent_dim: int, below: Sequence[int], **arguments: Any) -> list[int]:
        return [*below, latent_dim]

    @staticmethod
    def decoded_layers(*, below: Sequence[int], generation: Parents | None, **arguments: Any) -> list[int]:
        """The parents of x."""
        names = layer_names(len(below) + 1)
        return [
            names.index(parent) for parent in generation_graph("model.generation", generation, len(names)).parents[X]
        ]

    @property
    def read(self) -> list[int]:
        return self.read_by_x

    def decode(self, z: Float[Tensor, "*S d"]) -> Distribution:
        """p(x|z), batch shape (S, B), for z (S, B, d), of which the likelihood reads the parents of x."""
        return self.likelihood(z[..., self.columns])

    def trace(self, batch: Batch, encoded: Distribution, samples: int) -> Trace:
        """One latent for each layer, drawn along q's graph; of a proposal without layers, one in all."""
        if not isinstance(encoded, HierarchicalDistribution):
            return super().trace(batch, encoded, samples)
        with float32():
            drawn = encoded.draw(torch.Size((samples,)))
            z = torch.cat([layer for layer, _ in drawn], -1)
            priors = self.prior().layers(z)
        parts = zip(drawn, priors, self.needs_sampled_kl, strict=True)
        return Trace(batch.x, self.decode(z), tuple(Latent(layer, q, p, e) for (layer, q), p, e in parts))
