"""Priors over grids of codes. Shape legend: N grids, n positions, K codes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from vae_cli.models.code_distributions import Autoregressive
from vae_cli.models.posteriors import Quantised
from vae_cli.models.priors import Prior
from vae_cli.types import PositiveInt


class _Layer(nn.Module):
    """Attention to what comes before, then a layer for each site by itself (Vaswani et al. 2017; norms come first)."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.attended = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width))
        self.joined = nn.Linear(width, width)
        wide = 4 * width
        self.own = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, h: Tensor) -> Tensor:
        """h (N, i, width)."""
        queries, keys, values = self.attended(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attention = scaled_dot_product_attention(queries, keys, values, is_causal=True)
        h = h + self.joined(attention.transpose(1, 2).flatten(-2))
        return h + self.own(h)


class CodeTransformer(Prior):
    """p(codes) = prod_i p(k_i | k_1..k_(i-1)) by a causal transformer, positions in row-major order.

    The last layer starts at zero, so that p starts uniform, -n log K nats.

    Args:
        layers: number of layers.
        heads: attention heads of each layer.
        head_width: width of each head; the width of the model is heads * head_width.
    """

    provides: ClassVar = ("joint", "learned", "separate", "codes")
    requires: ClassVar = {"posterior": ("codes",), "second_stage": ()}

    def __init__(
        self,
        posterior: Quantised,
        n_positions: int,
        *,
        layers: PositiveInt,
        heads: PositiveInt,
        head_width: PositiveInt,
    ) -> None:
        super().__init__()
        self.n_positions, width = n_positions, heads * head_width
        self.shared = (posterior.codebook,)  # the model's: registered here, too, it would be saved twice
        codes = posterior.codebook.codes
        self.before = nn.Embedding(codes + 1, width)  # the index of the site before; K at the first
        self.place = nn.Parameter(0.02 * torch.randn(n_positions, width))
        self.layers = nn.Sequential(*(_Layer(heads, width) for _ in range(layers)), nn.LayerNorm(width))
        self.last = nn.Linear(width, codes)
        nn.init.normal_(self.before.weight, std=0.02)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def logits(self, indices: Tensor) -> Tensor:
        """Logits of the first i + 1 indices, (N, i + 1, K), given the first i, (N, i)."""
        before = pad(indices, (1, 0), value=self.last.out_features)
        return self.last(self.layers(self.before(before) + self.place[: before.shape[1]])).float()

    def forward(self) -> Autoregressive:
        """p(z): batch shape (), event shape (n D,)."""
        return Autoregressive(self.shared[0], self.n_positions, self.logits)
