"""Latents and traces: densities that come with the draws, expectations over enumerated values."""

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor
from torch.distributions import Independent, Normal, OneHotCategorical

from tests.support.models import IMAGE, batch_of, binary_images, small_mlp
from vae_cli.models.posteriors import AutoregressiveFlow
from vae_cli.models.trace import Latent, Trace

K, B = 4, 3


class Enumerated(OneHotCategorical):
    def enumerate_with_probabilities(self) -> tuple[Tensor, Tensor]:
        return self.enumerate_support(), self.probs.T


def test_the_density_that_a_flow_gives_with_its_draws_is_that_of_the_inverse():
    posterior = AutoregressiveFlow(small_mlp(), IMAGE, 3, steps=2, hidden=[8], context=2)
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    q = posterior(batch_of(binary_images(5)))
    latent = Latent.draw(q, Independent(Normal(torch.zeros(3), torch.ones(3)), 1), 7)
    assert latent.drawn_log_q is not None
    torch.testing.assert_close(latent.log_q, q.log_prob(latent.z), atol=1e-4, rtol=1e-4)


def test_a_density_is_computed_when_it_is_asked_for():
    class Unscored(Normal):
        def log_prob(self, value: Tensor) -> Tensor:
            raise AssertionError

    q = Independent(Unscored(torch.zeros(B, 2), torch.ones(B, 2)), 1)
    latent = Latent.draw(q, Independent(Normal(torch.zeros(2), torch.ones(2)), 1), 1)
    assert not latent.kl.any()
    with pytest.raises(AssertionError):
        _ = latent.log_q


def test_enumerated_values_have_their_exact_expectations():
    """All of them by sums over K values, whatever the number of samples asked for."""
    q, p = Enumerated(logits=torch.randn(B, K)), OneHotCategorical(logits=torch.randn(K))
    means, x = torch.randn(K, 2), torch.randn(B, 2)
    latent = Latent.draw(q, p, samples=1)
    trace = Trace(x, Independent(Normal(latent.z @ means, torch.ones(K, B, 2)), 1), (latent,))
    score = Normal(means, 1.0).log_prob(x.unsqueeze(1)).sum(-1)
    torch.testing.assert_close(trace.distortion, -(q.probs * score).sum(-1))
    kl = (q.probs * (q.logits - p.logits)).sum(-1)
    torch.testing.assert_close(trace.rate, kl)
    torch.testing.assert_close(latent._sampled_kl.squeeze(-1), kl)
    posterior = Enumerated(logits=score + p.logits)  # p(z|x), at which the bound is log p(x)
    best = Latent.draw(posterior, p, samples=1)
    bound = Trace(x, Independent(Normal(best.z @ means, torch.ones(K, B, 2)), 1), (best,))
    torch.testing.assert_close(bound.elbo, (score + p.logits).logsumexp(-1))


def test_a_wrong_shape_is_an_error_while_tests_run():
    normal = Independent(Normal(torch.zeros(3, 4), 1.0), 1)
    latent = Latent(torch.zeros(2, 3, 4), normal, normal)
    with pytest.raises(TypeCheckError, match="values"):
        latent.expectation(torch.zeros(3))
