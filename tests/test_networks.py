import pytest
import torch

from vae_cli.errors import ConfigError
from vae_cli.networks import MLP, Conv, Linear, ResidualMLP, ResNet

NETWORKS = {
    "linear": Linear(),
    "mlp": MLP(hidden=[12, 8], activation="relu", dropout=0.1),
    "conv": Conv(channels=[4, 6], dense=16, activation="gelu"),
    "residual_mlp": ResidualMLP(width=16, blocks=2, activation="silu"),
    "resnet": ResNet(channels=[4, 6], blocks=1, activation="relu"),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("event", [(1, 28, 28), (3, 9, 14), (2, 1, 5), (11,)])
def test_shapes_follow_the_data(name, event):
    network = NETWORKS[name]
    if len(event) == 1 and "vector" not in network.layouts:
        with pytest.raises(ConfigError, match="network=mlp"):
            network.encoder(event, 5)
        return
    encoder, decoder = network.encoder(event, 5), network.decoder(3, event, 2)
    assert encoder(torch.randn(4, *event)).shape == (4, 5)
    out = decoder(torch.randn(4, 3))
    assert out.shape == (4, 2, *event)
    out.square().sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_residual_blocks_start_as_the_identity():
    deep = ResidualMLP(width=16, blocks=6, activation="relu").encoder((4,), 2)
    x = torch.randn(3, 4)
    stem, head = deep[1], deep[-1]
    torch.testing.assert_close(deep(x), head(torch.relu(stem(x))))
