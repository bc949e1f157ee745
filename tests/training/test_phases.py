import pytest
import torch

from tests.support.models import START, batch_of, binary_images, binary_vae, mixture_vae
from vae_cli.errors import UserError
from vae_cli.models.layers import depth_of, outermost
from vae_cli.models.model import PosteriorMoments
from vae_cli.models.networks import MLP
from vae_cli.objectives import Reconstruction
from vae_cli.training import initialisation, pretraining
from vae_cli.training.phases import Phase, TrainingCodes, phase_at


def test_locate_counts_epochs_within_phases():
    objective = Reconstruction()
    phases = [Phase("a", 3, objective), Phase("b", 2, objective), Phase("c", 4, objective, continues_schedule=True)]
    places = [phase_at(phases, epoch) for epoch in range(11)]
    assert [place.phase.name for place in places] == [*"aaabbcccccc"]
    assert [place.first for place in places] == [0] * 3 + [3] * 2 + [5] * 6
    assert [(place.start, place.end) for place in places] == [(0, 3)] * 3 + [(3, 9)] * 8


PRETRAINING = {
    "plain": lambda: pretraining.Autoencoder(epochs=2, corruption=0.0),
    "denoising": lambda: pretraining.Autoencoder(epochs=2, corruption=0.3),
    "layerwise": lambda: pretraining.LayerWise(layer_epochs=1, epochs=2, corruption=0.2),
}


@pytest.mark.parametrize("name", PRETRAINING)
def test_pretraining_learns_to_reconstruct(name):
    """Each phase lowers its own loss; a layer-wise one leaves the layers inside it alone."""
    model, batch = binary_vae(), batch_of(binary_images(64))
    for phase in PRETRAINING[name]().extend([], model):
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        first = phase.objective(model, batch, START).loss.item()
        for _ in range(40):
            optimizer.zero_grad()
            terms = phase.objective(model, batch, START)
            terms.loss.backward()
            optimizer.step()
        assert terms.loss.item() < first
        assert model.prior.loc.grad is None


def test_outermost_layers_mirror_each_other():
    network = MLP(hidden=[7, 5, 4], activation="relu", dropout=0.1)
    encoder, decoder = network.encoder((6,), 4), network.decoder(2, (6,), 1)
    assert depth_of(encoder) == 3
    for depth, width in ((1, 7), (2, 5), (3, 4)):
        outer, mirrored = outermost(encoder, decoder, depth)
        hidden = outer(torch.randn(9, 6))
        assert hidden.shape == (9, width)
        assert mirrored(hidden).shape == (9, 1, 6)


TRAINING = [Phase("training", 4, Reconstruction())]


def blobs(count: int = 300, components: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(count) % components
    centres = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 9.0]])
    return centres[labels] + torch.randn(count, 3) * torch.tensor([0.5, 1.0, 1.5]), labels


def narrow(z: torch.Tensor) -> PosteriorMoments:
    return PosteriorMoments(z, torch.full_like(z, 0.25))


COMMON = {"restarts": 2, "fixed_epochs": 2, "classification_weight": 5.0, "augmentation": 0.0}
INITIALISATIONS = {
    "codes": lambda points: initialisation.CodesMixture(points=points, **COMMON),
    "umap": lambda points: initialisation.UmapMixture(points=points, dimensions=2, neighbours=15, **COMMON),
}
COMPILED = pytest.param("umap", marks=pytest.mark.slow)
"""UMAP is compiled for many seconds when it is first called."""


@pytest.mark.parametrize("points", [1000, 150])
@pytest.mark.parametrize("name", ["codes", COMPILED])
def test_components_start_at_the_clusters_of_the_codes(name, points):
    model, _, _ = mixture_vae(components=3)
    z, labels = blobs()
    held, free = INITIALISATIONS[name](points).extend(TRAINING, model)
    assert (held.epochs, free.epochs, free.continues_schedule) == (2, 4, True)
    held.on_start(model, TrainingCodes(narrow(z), 1000, seed=0))
    found = held.objective.assignments
    order = [int(found[labels == k].mode().values) for k in range(3)]
    assert sorted(order) == [0, 1, 2]
    assert (torch.tensor(order)[labels] == found).float().mean() > 0.98
    p = model.prior()
    for k, c in enumerate(order):
        members = z[found == c]
        torch.testing.assert_close(p.component_distribution.mean[c], members.mean(0))
        torch.testing.assert_close(p.component_distribution.variance[c], members.var(0, unbiased=False) + 0.25)
        assert p.mixture_distribution.probs[c].item() == pytest.approx(len(members) / 300, abs=1e-4), k


def test_without_held_epochs_the_objective_begins_at_once():
    settings = {**COMMON, "fixed_epochs": 0}
    model, _, _ = mixture_vae(components=3)
    (phase,) = initialisation.CodesMixture(points=1000, **settings).extend(TRAINING, model)
    assert phase.on_start is not None and not phase.continues_schedule and isinstance(phase.objective, Reconstruction)


@pytest.mark.parametrize(
    ("codes", "message"), [(torch.ones(50, 3), "all equal"), (torch.full((50, 3), torch.nan), "NaN")]
)
def test_codes_that_cannot_be_clustered_are_refused(codes, message):
    model, _, _ = mixture_vae(components=3)
    held, _ = INITIALISATIONS["codes"](1000).extend(TRAINING, model)
    with pytest.raises(UserError, match=message):
        held.on_start(model, TrainingCodes(narrow(codes), 1000, seed=0))


@pytest.mark.slow
def test_few_points_are_embedded_too_and_again_as_before():
    z, _ = blobs(12)
    model, _, _ = mixture_vae(components=3)
    held, _ = INITIALISATIONS["umap"](1000).extend(TRAINING, model)
    found = []
    for _ in range(2):
        held.on_start(model, TrainingCodes(narrow(z), 1000, seed=0))
        found.append((held.objective.assignments, model.prior.means.clone()))
    (first, means), (again, others) = found
    assert len(first) == 12 and torch.equal(first, again) and torch.equal(means, others)


def test_an_empty_cluster_starts_at_a_code_of_its_own_as_wide_as_all():
    z, labels = blobs()
    weights, means, variances = initialisation.moments(narrow(z), labels, 5)
    torch.testing.assert_close(means[4], z[4])
    assert not torch.equal(means[3], means[4])
    torch.testing.assert_close(variances[3], z.var(0, unbiased=False) + 0.25)
    assert weights.sum().item() == pytest.approx(1.0) and (weights > 0).all()
