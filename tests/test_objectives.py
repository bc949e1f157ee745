import pytest
import torch

from tests.builders import batch_of, binary_images, binary_vae
from vae_cli import posteriors
from vae_cli.estimators import elbo
from vae_cli.objectives import ELBO, Reconstruction


def elbo_objective(**changes):
    return ELBO(**{"beta": 1.0, "warmup_epochs": 0, "free_bits": 0.0, "samples": 1} | changes)


OBJECTIVES = {
    "elbo": elbo_objective,
    "beta": lambda: elbo_objective(beta=4.0),
    "free_bits": lambda: elbo_objective(free_bits=0.5),
    "samples": lambda: elbo_objective(samples=8),
    "reconstruction": Reconstruction,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_is_the_mean_of_its_items(name):
    """With deterministic codes replaced by zero noise, so that only the averaging is compared."""
    model, images = binary_vae(), binary_images(8)
    with torch.no_grad():
        model.posterior.encoder[-1].bias[3:] = -60.0
        model.posterior.encoder[-1].weight[3:] = 0.0
    objective = OBJECTIVES[name]()
    whole = objective(model, batch_of(images))
    items = [objective(model, batch_of(image.unsqueeze(0))) for image in images]
    torch.testing.assert_close(whole.loss, torch.stack([t.loss for t in items]).mean())
    for key, value in whole.metrics.items():
        torch.testing.assert_close(value, torch.stack([t.metrics[key] for t in items]).mean())


def terms(objective, posterior=posteriors.Diagonal):
    torch.manual_seed(1)
    model, batch = binary_vae(posterior), batch_of(binary_images(16))
    torch.manual_seed(2)
    return objective(model, batch)


@pytest.mark.parametrize("posterior", [posteriors.Diagonal, posteriors.FullCovariance])
def test_beta_weights_the_rate_alone(posterior):
    base, double, none = (terms(elbo_objective(beta=b), posterior) for b in (1.0, 2.0, 0.0))
    torch.testing.assert_close(base.loss, -base.metrics["elbo"])
    torch.testing.assert_close(double.loss - base.loss, base.metrics["rate"])
    torch.testing.assert_close(none.loss, base.metrics["distortion"])
    torch.testing.assert_close(none.metrics["elbo"], base.metrics["elbo"])


def test_beta_zero_is_the_reconstruction_objective():
    torch.testing.assert_close(terms(elbo_objective(beta=0.0)).loss, terms(Reconstruction()).loss)


def test_warm_up_rises_linearly_to_beta():
    objective = elbo_objective(beta=3.0, warmup_epochs=4)
    betas = []
    for objective.epoch in (0, 1, 2, 4, 100):
        betas.append(objective.current_beta)
    assert betas == [0.0, 0.75, 1.5, 3.0, 3.0]


def test_free_bits_are_a_floor_for_each_dimension():
    floor = 100.0
    result = terms(elbo_objective(free_bits=floor))
    torch.testing.assert_close(result.loss, result.metrics["distortion"] + 3 * floor)
    full = terms(elbo_objective(free_bits=floor), posteriors.FullCovariance)
    torch.testing.assert_close(full.loss, full.metrics["distortion"] + floor)
    torch.testing.assert_close(terms(elbo_objective(free_bits=1e-12)).loss, terms(elbo_objective()).loss)


def test_the_objective_reports_the_bound_that_the_estimator_computes():
    torch.manual_seed(1)
    model, batch = binary_vae(), batch_of(binary_images(16))
    torch.manual_seed(5)
    ours = elbo_objective()(model, batch).metrics["elbo"]
    torch.manual_seed(5)
    torch.testing.assert_close(ours, elbo(model, batch, model.encode(batch), 1, 4096).elbo.mean())
