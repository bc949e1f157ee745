"""Inference without an encoder: rows against torch's own optimisers, their optimum against closed forms, whole runs."""

import pytest
import torch

import vae_cli
from tests.support.configs import composed
from tests.support.models import START, linear_vae
from tests.support.training import assert_same_end, interrupted, train
from vae_cli.batch import Batch
from vae_cli.errors import UserError
from vae_cli.evaluation.estimators import elbo
from vae_cli.evaluation.linear_gaussian import linear_gaussian
from vae_cli.models import posteriors
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.per_example import PerExampleGaussian
from vae_cli.models.priors import Gaussian
from vae_cli.models.refinement import Refinement
from vae_cli.objectives import ELBO, PriorFit
from vae_cli.training.phases import Phase

N, D = 12, 2
ADAM = {"lr": 0.05, "betas": (0.9, 0.999), "eps": 1e-8}


def rows_of(x: torch.Tensor, *index: int) -> Batch:
    chosen = torch.tensor(index) if index else torch.arange(len(x))
    return Batch(x[chosen], chosen, seen=True)


def with_table(train_steps: int = 0) -> tuple[LatentVariableModel, LatentVariableModel, torch.Tensor]:
    """A linear-Gaussian VAE with a table, the same with an encoder that is the best of its family, and N draws of x."""
    encoded = linear_vae(posteriors.Diagonal)
    refinement = Refinement(steps=300, train_steps=train_steps, samples=8, lr=0.1)
    model = LatentVariableModel(
        PerExampleGaussian(D, N, lr=0.05), encoded.prior, encoded.likelihood, refinement, latent_dim=D
    )
    return model, encoded, linear_gaussian(encoded).marginal().sample(torch.Size((N,))).float()


def pull(table: PerExampleGaussian, batch: Batch, target: torch.Tensor, scale: float = 1.0) -> None:
    """A step of the rows of a batch."""
    (scale * (table(batch).mean - target[batch.index]).square().sum()).backward()
    table.step_after_backward()


def test_a_row_moves_as_under_torchs_adam_and_only_in_its_own_batches():
    table, target, x = PerExampleGaussian(D, N, lr=0.05), torch.randn(N, D), torch.zeros(N, 5)
    alone = {i: torch.zeros(D, requires_grad=True) for i in range(N)}
    optimizers = {i: torch.optim.Adam([row], **ADAM) for i, row in alone.items()}
    for index in torch.randint(0, N, (40, 3)):
        chosen = index.unique().tolist()
        pull(table, rows_of(x, *chosen), target)
        for i in chosen:
            optimizers[i].zero_grad()
            (alone[i] - target[i]).square().sum().backward()
            optimizers[i].step()
    torch.testing.assert_close(table.rows[:, :D], torch.stack(list(alone.values())).detach(), atol=1e-5, rtol=1e-4)


def test_rows_of_other_examples_stay_as_they_are_bit_by_bit():
    table, x = PerExampleGaussian(D, N, lr=0.05), torch.zeros(N, 5)
    pull(table, rows_of(x), torch.randn(N, D))
    before = {name: value.clone() for name, value in table.named_buffers()}
    pull(table, rows_of(x, 3, 7), torch.randn(N, D))
    for name, value in table.named_buffers():
        moved = (value != before[name]).any(-1).nonzero().flatten().tolist()
        assert moved == [3, 7], name


def test_the_factor_of_a_minibatch_changes_nothing():
    tables, target = [PerExampleGaussian(D, N, lr=0.05) for _ in range(2)], torch.randn(N, D)
    for _ in range(5):
        for table, scale in zip(tables, (1.0, 50.0), strict=True):
            pull(table, rows_of(torch.zeros(N, 5)), target, scale)
    torch.testing.assert_close(tables[0].rows, tables[1].rows, atol=1e-5, rtol=0)


def test_rows_learn_in_training_alone_and_not_from_a_gradient_that_overflowed():
    table, batch = PerExampleGaussian(D, N, lr=0.05), rows_of(torch.zeros(N, 5))
    pull(table, batch, torch.full((N, D), torch.inf))
    assert not table.rows.any() and not table.optimizer.steps.any()
    assert not table.eval()(batch).mean.requires_grad


@pytest.mark.parametrize("train_steps", [0, 3])
def test_rows_reach_the_best_bound_of_their_family_point_by_point(train_steps):
    """With the decoder held; no encoder can do better, and one that is the best of its family does as well."""
    model, encoded, x = with_table(train_steps)
    objective, batch = ELBO(beta=1.0, free_bits=0.0, samples=8), rows_of(x)
    for epoch in range(400 if not train_steps else 150):
        model.posterior.optimizer.lr = 0.05 * (1 - epoch / 400)
        objective(model, batch, START).loss.backward()
        model.posterior.step_after_backward()
    model.eval()
    exact = linear_gaussian(encoded)
    best = exact.marginal().log_prob(x.double()).float() - encoded.posterior.best_gap(exact.precision)
    found = elbo(model, batch, model.encode(batch), 5000, 10**6).elbo
    torch.testing.assert_close(found, best, atol=0.15, rtol=0)
    amortised = elbo(encoded, batch, encoded.encode(batch), 5000, 10**6).elbo
    assert (found > amortised - 0.15).all()
    with torch.no_grad():
        encoded.posterior.encoder[1].bias += 1.0
    assert (found > elbo(encoded, batch, encoded.encode(batch), 5000, 10**6).elbo).all()


def test_what_was_not_trained_on_starts_at_the_prior_and_is_refined():
    model, encoded, x = with_table()
    unseen = Batch(x, torch.arange(N))
    assert not model.posterior(unseen).mean.any() and (model.posterior(unseen).stddev == 1).all()
    with torch.no_grad():
        q = model.eval().encode(unseen)
    exact = linear_gaussian(encoded)
    best = exact.marginal().log_prob(x.double()).float() - encoded.posterior.best_gap(exact.precision)
    torch.testing.assert_close(elbo(model, unseen, q, 5000, 10**6).elbo, best, atol=0.2, rtol=0)
    assert not model.posterior.rows.any()


def test_in_turns_the_rows_move_first_and_the_decoder_learns_from_where_they_came():
    model, _, x = with_table(train_steps=5)
    batch = rows_of(x, 0, 4)
    q = model.encode(batch)
    torch.testing.assert_close(model.posterior.rows[[0, 4], :D], q.mean.detach())
    assert model.posterior.rows[[0, 4]].all() and not model.posterior.rows[1].any()
    kept = model.posterior.rows.clone()
    (-model.trace(batch, q, 4).elbo.mean()).backward()
    model.posterior.step_after_backward()
    assert torch.equal(model.posterior.rows, kept)
    assert model.posterior.optimizer.steps.flatten().tolist() == [5, 0, 0, 0, 5] + [0] * (N - 5)
    assert all(parameter.grad is not None for parameter in model.likelihood.parameters())


def test_a_prior_that_learns_alone_leaves_the_rows_alone():
    model, _, x = with_table(train_steps=5)
    batch = rows_of(x)
    model.encode(batch)
    model.prior = Gaussian(D)
    kept = model.posterior.rows.clone()
    Phase("prior", 1, PriorFit(), trains=lambda model: model.prior).set_modes(model)
    PriorFit()(model, batch, START).loss.backward()
    model.posterior.step_after_backward()
    assert torch.equal(model.posterior.rows, kept) and model.prior.training
    assert all(parameter.grad is not None for parameter in model.prior.parameters())


WITHOUT_ENCODER = (
    "posterior=per_example", "dataset=digits", "dataset.binarize=static", "dataset.subset=200", "network.hidden=[16]",
    "model.latent_dim=2", "trainer.max_epochs=3", "dataset.batch_size=20", "refinement.steps=20", "logger=csv",
)  # fmt: skip


@pytest.fixture(scope="module")
def tabled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "table"
    return folder, train(composed(*WITHOUT_ENCODER), folder, figures=True)


@pytest.mark.parametrize(("kind", "position"), [("batch", 13), pytest.param("epoch", 1, marks=pytest.mark.slow)])
def test_a_table_resumes_bit_identically(kind, position, tabled, tmp_path):
    results = interrupted(composed(*WITHOUT_ENCODER), tmp_path, kind, position)
    assert_same_end(tabled[0], tmp_path)
    assert results["test/elbo"] == tabled[1]["test/elbo"]


def test_a_whole_run_without_an_encoder(tabled):
    folder, results = tabled
    assert results["data/train_size"] == 200 and results["test/iw_log_likelihood"] > results["test/elbo"]
    assert (folder / "figures" / "reconstructions.png").exists()
    run = vae_cli.load(folder)
    assert run.model.posterior.rows.shape == (200, 4) and run.model.posterior.optimizer.steps.min() > 0
    x = torch.bernoulli(torch.rand(3, 1, 8, 8))
    assert run.encode(x).mean.shape == (3, 2) and run.log_likelihood(x).isfinite().all()


def test_a_subset_is_a_part_of_the_training_data_and_the_same_in_every_run():

    whole, part, again = (
        composed("dataset=digits", f"dataset.subset={size}").dataset.build().load() for size in ("null", 50, 50)
    )
    assert len(part.train) == 50 and torch.equal(part.train.x, again.train.x)
    assert set(part.train.rows.tolist()) < set(whole.train.rows.tolist())
    assert torch.equal(part.val.x, whole.val.x) and torch.equal(part.test.x, whole.test.x)
    with pytest.raises(UserError, match=r"dataset.subset=5000: digits has [\d,]+ training examples .* null for all"):
        composed("dataset=digits", "dataset.subset=5000").dataset.build().load()
