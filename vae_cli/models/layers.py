"""Layers of which the networks are made."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor
from torch.nn.functional import conv_transpose2d

from vae_cli.errors import ConfigError
from vae_cli.types import Shape

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


def dense(widths: list[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with an activation between them, none after the last."""
    # in place: the gradient of a linear layer does not need its output
    kind = partial(nn.ReLU, inplace=True) if activation == "relu" else ACTIVATIONS[activation]
    layers: list[nn.Module] = []
    for wide_in, wide_out in pairwise(widths[:-1]):
        layers += [nn.Linear(wide_in, wide_out), kind()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def image_shape(event_shape: Shape) -> tuple[int, int, int]:
    """C, H and W."""
    if len(event_shape) != 3:
        raise ConfigError(
            f"network: convolutions need images (C, H, W), this data set has events of shape {event_shape}; "
            "use network=mlp|residual_mlp"
        )
    return event_shape[0], event_shape[1], event_shape[2]


def halved(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """Heights and widths after 0, 1, ..., `times` convolutions of stride 2."""
    return [(ceil(height / 2**i), ceil(width / 2**i)) for i in range(times + 1)]


def narrowing(channels: list[int], activation: str) -> list[nn.Module]:
    """Convolutions of stride 2, an activation after each."""
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise(channels):
        layers += [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), ACTIVATIONS[activation]()]
    return layers


class _KeepFormat(torch.autograd.Function):
    """The identity, whose gradient has the memory format of x: elementwise layers are several times slower on two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad_outputs[0].contiguous(memory_format=torch.channels_last)


def keep_format(x: Tensor) -> Tensor:
    """Images x (N, C, H, W) at an end of their convolutions; the gradient has their memory format."""
    eager = x.requires_grad and not torch.compiler.is_compiling() and not is_batchedtensor(x)
    return _KeepFormat.apply(x) if eager and x.is_contiguous(memory_format=torch.channels_last) else x


class Flatten(nn.Flatten):
    """Images (N, C, H, W) as rows (N, C H W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(keep_format(input))


class Unflatten(nn.Unflatten):
    """Images (N, M C, H, W) as (N, M, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(keep_format(input))


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that adds its bias apart in the training of a CPU with channels last.

    The library sums the gradient of a bias in ten times the time of a sum there, a tenth of the time of the layer.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        bias = self.bias
        if bias is None or output_size or not self._apart(input):
            return super().forward(input, output_size)
        shape: Any = self.stride, self.padding, self.output_padding, self.groups, self.dilation
        return conv_transpose2d(input, self.weight, None, *shape).add_(bias[:, None, None])

    def _apart(self, input: Tensor) -> bool:
        trains = torch.is_grad_enabled() and not torch.compiler.is_compiling() and not is_batchedtensor(input)
        plain = input.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        return trains and plain and self.weight.is_contiguous(memory_format=torch.channels_last)


def widening(channels: list[int], sizes: list[tuple[int, int]], activation: str) -> list[nn.Module]:
    """Transposed convolutions of stride 2 from size to size, an activation between them."""
    layers: list[nn.Module] = []
    for i, (c_in, c_out) in enumerate(pairwise(channels)):
        (h, w), (h_next, w_next) = sizes[i], sizes[i + 1]
        odd = (h_next - (2 * h - 1), w_next - (2 * w - 1))
        layers += [ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=odd)]
        layers += [ACTIVATIONS[activation]()] * (i < len(channels) - 2)
    return layers


class ResidualBlock(nn.Module):
    """h + f(h), f starting at zero, so that a deep stack starts as the identity."""

    def __init__(self, branch: nn.Sequential) -> None:
        super().__init__()
        self.branch = branch
        last = branch[-1]
        assert isinstance(last, nn.Linear | nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.branch(h)


def conv_block(channels: int, activation: str) -> nn.Module:
    """A residual block of two convolutions."""
    act = ACTIVATIONS[activation]
    convs = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
    return ResidualBlock(nn.Sequential(act(), next(convs), act(), next(convs)))


def depth_of(encoder: nn.Module) -> int:
    """Hidden layers of an MLP's encoder."""
    return sum(isinstance(layer, nn.Linear) for layer in encoder.children()) - 1


def outermost(encoder: nn.Module, decoder: nn.Module, depth: int) -> tuple[nn.Sequential, nn.Sequential]:
    """The first `depth` hidden layers of an MLP's encoder and the layers of its decoder that mirror them."""
    parts, mirrored = list(encoder.children()), list(decoder.children())
    ends = [i for i, layer in enumerate(parts) if isinstance(layer, nn.Linear)]
    starts = [i for i, layer in enumerate(mirrored) if isinstance(layer, nn.Linear)]
    return nn.Sequential(*parts[: ends[depth]]), nn.Sequential(*mirrored[starts[-depth] :])


def apply_rows(network: nn.Module, rows: Tensor) -> Tensor:
    """Run a network over rows with any leading axes, (S, B, d) to (S, B, ...), and return float32.

    Everything after a network is a density, and densities are float32 whatever the training precision.
    """
    outputs = network(rows.reshape(-1, rows.shape[-1]))
    return outputs.reshape(*rows.shape[:-1], *outputs.shape[1:]).to(torch.float32)
