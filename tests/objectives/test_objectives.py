import pytest
import torch

from tests.support.models import START, batch_of, binary_images, binary_vae, mixture_vae
from vae_cli.batch import Batch
from vae_cli.evaluation.estimators import elbo
from vae_cli.models import posteriors
from vae_cli.objectives import ELBO, FixedAssignments, Progress, Reconstruction, VaDE, VaDEAnalytic
from vae_cli.objectives.annealing import LinearAnnealing


def elbo_objective(**changes):
    return ELBO(**{"beta": 1.0, "free_bits": 0.0, "samples": 1} | changes)


SETTINGS = {"beta": 1.0, "free_bits": 0.0, "samples": 2}


def fixed_assignments(classification_weight=3.0, augmentation=0.0, beta=1.0):
    objective = FixedAssignments(beta=beta, classification_weight=classification_weight, augmentation=augmentation)
    objective.assignments = torch.arange(8) % 3
    return objective


OBJECTIVES = {
    "elbo": elbo_objective,
    "beta": lambda: elbo_objective(beta=4.0),
    "free_bits": lambda: elbo_objective(free_bits=0.5),
    "samples": lambda: elbo_objective(samples=8),
    "reconstruction": Reconstruction,
    "vade_analytic": lambda: VaDEAnalytic(**SETTINGS),
    "vade": lambda: VaDE(**SETTINGS),
    "held_assignments": fixed_assignments,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_is_the_mean_of_its_items(name):
    """With deterministic codes replaced by zero noise, so that only the averaging is compared."""
    model, _, _ = mixture_vae(components=3)
    images = binary_images(8)
    with torch.no_grad():
        model.posterior.encoder[-1].bias[3:] = -60.0
        model.posterior.encoder[-1].weight[3:] = 0.0
    objective = OBJECTIVES[name]()
    whole = objective(model, batch_of(images), START)
    items = [objective(model, Batch(images[i : i + 1], torch.tensor([i])), START) for i in range(8)]
    torch.testing.assert_close(whole.loss, torch.stack([t.loss for t in items]).mean())
    for key, value in whole.metrics.items():
        torch.testing.assert_close(value, torch.stack([t.metrics[key] for t in items]).mean())


def terms(objective, posterior=posteriors.Diagonal, progress=START):
    torch.manual_seed(1)
    model, batch = binary_vae(posterior), batch_of(binary_images(16))
    torch.manual_seed(2)
    return objective(model, batch, progress)


@pytest.mark.parametrize("posterior", [posteriors.Diagonal, posteriors.FullCovariance])
def test_beta_weights_the_rate_alone(posterior):
    base, double, none = (terms(elbo_objective(beta=b), posterior) for b in (1.0, 2.0, 0.0))
    torch.testing.assert_close(base.loss, -base.metrics["elbo"])
    torch.testing.assert_close(double.loss - base.loss, base.metrics["rate"])
    torch.testing.assert_close(none.loss, base.metrics["distortion"])
    torch.testing.assert_close(none.metrics["elbo"], base.metrics["elbo"])


def test_beta_zero_is_the_reconstruction_objective():
    torch.testing.assert_close(terms(elbo_objective(beta=0.0)).loss, terms(Reconstruction()).loss)


def test_a_weight_rises_while_it_trains():
    objective = elbo_objective(beta=3.0, annealing=LinearAnnealing(weights=None, start=0.0, epochs=4))
    start = terms(objective)
    torch.testing.assert_close(start.loss, start.metrics["distortion"])
    for epoch, beta in ((2.0, 1.5), (100.0, 3.0)):
        found = terms(objective, progress=Progress(epoch, examples=16))
        assert torch.equal(found.loss, terms(elbo_objective(beta=beta)).loss)


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
    ours = elbo_objective()(model, batch, START).metrics["elbo"]
    torch.manual_seed(5)
    torch.testing.assert_close(ours, elbo(model, batch, model.encode(batch), 1, 4096).elbo.mean())


def mixture_losses(model, batch, samples=4000):
    """Losses of the three forms of VaDE's bound at the same samples."""
    losses = {}
    for name, kind in (("marginal", ELBO), ("optimal", VaDEAnalytic), ("sampled", VaDE)):
        torch.manual_seed(4)
        losses[name] = float(kind(**{**SETTINGS, "samples": samples})(model, batch, START).loss.detach())
    return losses


def test_the_forms_of_the_mixture_bound_come_in_order():
    """ELBO marginal >= optimal gamma >= gamma at each sample."""
    model, _, batch = mixture_vae(components=4)
    losses = mixture_losses(model, batch, samples=500)
    assert losses["marginal"] < losses["optimal"] < losses["sampled"]


def test_with_one_component_the_forms_are_the_plain_elbo():
    model, plain, batch = mixture_vae(components=1)
    with torch.no_grad():
        model.prior.means.zero_()
    losses = mixture_losses(model, batch)
    torch.manual_seed(4)
    expected = float(ELBO(**{**SETTINGS, "samples": 4000})(plain, batch, START).loss.detach())
    assert losses["optimal"] == pytest.approx(expected, abs=1e-4)
    assert losses["sampled"] == pytest.approx(expected, abs=1e-4)
    assert losses["marginal"] == pytest.approx(expected, abs=0.1)


def test_the_published_formula_of_the_sampled_form():
    """Jiang et al. 2017, eq. 12, written out, its terms in 2 pi cancelling."""
    model, _, batch = mixture_vae(components=3)
    torch.manual_seed(6)
    ours = VaDE(**{**SETTINGS, "samples": 1})(model, batch, START)
    torch.manual_seed(6)
    q = model.encode(batch)
    z = q.rsample(torch.Size((1,)))[0]
    p = model.prior()
    means, variances = p.component_distribution.mean, p.component_distribution.variance
    pi = p.mixture_distribution.probs
    log_gaussian = -0.5 * ((2 * torch.pi * variances).log() + (z[:, None] - means).square() / variances).sum(-1)
    gamma = pi * log_gaussian.exp()
    gamma = gamma / gamma.sum(-1, keepdim=True)
    m, s2 = q.mean, q.variance
    inner = (variances.log() + s2[:, None] / variances + (m[:, None] - means).square() / variances).sum(-1)
    elbo = (
        model.decode(z[None]).log_prob(batch.x)[0]
        - 0.5 * (gamma * inner).sum(-1)
        + (gamma * (pi / gamma).log()).sum(-1)
        + 0.5 * (1 + s2.log()).sum(-1)
    )
    torch.testing.assert_close(ours.metrics["elbo"], elbo.mean())


def test_held_assignments_are_kept_with_the_weights_and_sharpness_weighs_the_doubt():
    model, _, batch = mixture_vae(components=3)
    soft, sharp = fixed_assignments(0.0), fixed_assignments(7.0)
    sharp.load_state_dict(soft.state_dict())
    assert torch.equal(sharp.assignments, soft.assignments)
    terms = []
    for objective in (soft, sharp):
        torch.manual_seed(2)
        terms.append(objective(model, batch, START))
    torch.testing.assert_close(terms[1].loss - terms[0].loss, 7 * terms[0].metrics["assignment_nll"])
    torch.testing.assert_close(terms[0].loss, -terms[0].metrics["elbo"])
    torch.manual_seed(2)
    heavy = fixed_assignments(0.0, beta=3.0)(model, batch, START)
    torch.testing.assert_close(heavy.loss - terms[0].loss, 2 * terms[0].metrics["rate"])


def test_jitter_reaches_the_doubt_alone():
    model, _, batch = mixture_vae(components=3)
    terms = []
    for augmentation in (0.0, 1.0):
        torch.manual_seed(2)
        terms.append(fixed_assignments(1.0, augmentation)(model, batch, START).metrics)
    torch.testing.assert_close(terms[0]["elbo"], terms[1]["elbo"])
    assert terms[0]["assignment_nll"] != terms[1]["assignment_nll"]


def test_components_may_be_permuted_in_every_form():
    model, _, batch = mixture_vae(components=4)
    before = mixture_losses(model, batch, samples=3)
    order = torch.randperm(4)
    with torch.no_grad():
        for parameter in (model.prior.logits, model.prior.means, model.prior.log_variances):
            parameter.copy_(parameter[order].clone())
    assert mixture_losses(model, batch, samples=3) == pytest.approx(before, abs=1e-4)
