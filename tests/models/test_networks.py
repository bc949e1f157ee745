import pytest
import torch

from vae_cli.errors import ConfigError
from vae_cli.models.layers import ConvTranspose2d
from vae_cli.models.networks import MLP, Conv, Linear, ResidualMLP, ResNet
from vae_cli.models.spatial_networks import SpatialConv, n_positions

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


@pytest.mark.parametrize(("event", "grid"), [((1, 28, 28), (7, 7)), ((3, 9, 14), (3, 4)), ((2, 1, 5), (1, 2))])
def test_a_grid_of_sites_is_as_large_as_the_smallest_map(event, grid):
    network = SpatialConv(channels=[4, 6], blocks=1, activation="relu")
    n = grid[0] * grid[1]
    assert network.grid(event) == grid and n_positions(network, event) == n
    encoder, decoder = network.encoder(event, 5 * n), network.decoder(3 * n, event, 2)
    assert encoder(torch.randn(4, *event)).shape == (4, 5 * n)
    out = decoder(torch.randn(4, 3 * n))
    assert out.shape == (4, 2, *event)
    out.square().sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_networks_without_sites_have_one_and_vectors_have_no_grid():
    assert {n_positions(network, (11,)) for name, network in NETWORKS.items()} == {1}
    with pytest.raises(ConfigError, match="network=mlp"):
        n_positions(SpatialConv(channels=[4], blocks=0, activation="relu"), (11,))


def test_residual_blocks_start_as_the_identity():
    deep = ResidualMLP(width=16, blocks=6, activation="relu").encoder((4,), 2)
    x = torch.randn(3, 4)
    stem, head = deep[1], deep[-1]
    torch.testing.assert_close(deep(x), head(torch.relu(stem(x))))


@pytest.mark.parametrize("name", ["conv", "resnet"])
def test_gradients_keep_the_memory_format_of_the_images(name):
    event, last, formats = (3, 16, 16), torch.channels_last, list[bool]()
    network = torch.nn.Sequential(NETWORKS[name].encoder(event, 5), NETWORKS[name].decoder(5, event, 2))

    def watch(_module, _inputs, images):
        images.register_hook(lambda gradient: formats.append(gradient.is_contiguous(memory_format=last)))

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(watch)
    x, found = torch.randn(4, *event), []
    for memory_format in (torch.contiguous_format, last):
        loss = network.to(memory_format=memory_format)(x.contiguous(memory_format=memory_format)).square().sum()
        found.append(torch.autograd.grad(loss, list(network.parameters())))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    half = len(formats) // 2
    assert all(formats[half:]) and not any(formats[:half])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
def test_a_transposed_convolution_is_that_of_torch(memory_format):
    """Values, first and second derivatives, and the names of its parameters."""
    x, theirs = torch.randn(4, 5, 6, 7, dtype=torch.float64), torch.nn.ConvTranspose2d(5, 3, 3, 2, 1, (1, 0)).double()
    ours = ConvTranspose2d(5, 3, 3, 2, 1, (1, 0)).double()
    ours.load_state_dict(theirs.state_dict())
    found = []
    for layer in (ours, theirs):
        images = x.to(memory_format=memory_format).requires_grad_()
        parameters = [images, *layer.to(memory_format=memory_format).parameters()]
        value = layer(images)
        first = torch.autograd.grad(value.sin().sum(), parameters, create_graph=True)
        second = torch.autograd.grad(torch.stack([one.square().sum() for one in first]).sum(), parameters)
        found.append((value, *first, *second))
    torch.testing.assert_close(*found)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_mapped_transposed_convolutions_are_those_of_each_model():
    layers, x = (
        [ConvTranspose2d(2, 3, 3, 2, 1).to(memory_format=torch.channels_last) for _ in range(3)],
        torch.randn(4, 2, 5, 5),
    )
    stacked = torch.func.stack_module_state(layers)

    def loss(state):
        return torch.func.functional_call(layers[0], state, (x,)).square().sum()

    slopes = torch.func.vmap(torch.func.grad(loss))(stacked[0])
    for row, layer in enumerate(layers):
        own = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
        for (name, _), slope in zip(layer.named_parameters(), own, strict=True):
            torch.testing.assert_close(slopes[name][row], slope, rtol=1e-4, atol=1e-4)
