"""Sums over an event of Bernoulli log-probabilities, beside float64, torch and autograd."""

import pytest
import torch
from torch.distributions import Independent
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import softplus

from tests.support import shapes
from tests.support.models import IMAGE, small_mlp
from vae_cli.distributions.bernoulli import FEW, PIECE, Bernoulli, IndependentBernoulli
from vae_cli.models import likelihoods

EPS = torch.finfo(torch.float32).eps


def by_entries(logits, event_dims):
    """The sum that torch makes of the entries, in autograd."""
    return Independent(Bernoulli(logits), event_dims, validate_args=False)


def binary(*shape):
    return torch.randint(2, shape).float()


def test_entries_agree_with_torch():
    logits, x = torch.randn(4, 7), binary(7)
    ours, theirs = Bernoulli(logits), torch.distributions.Bernoulli(logits=logits)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x.expand(4, 7)))
    torch.testing.assert_close(ours.mean, theirs.mean)
    assert set(ours.sample((3,)).unique().tolist()) <= {0.0, 1.0}


def exact(logits, x):
    """sum log p(x) of float64."""
    return (x.double() * logits.double() - softplus(logits.double(), threshold=1e9)).sum(-1)


@pytest.mark.parametrize("size", [1e-6, 1e-2, 1.0, 5.0, 17.0, 30.0, 100.0, 200.0])
@pytest.mark.parametrize("entries", [1, 2, 3, 5, 7, 64, 785, 4095, 12288])
def test_a_sum_is_as_exact_as_that_of_float32_entries(entries, size):
    """At random, and where x is always the likely value: small sums have as many digits as large ones."""
    rows = 2 * FEW // entries
    near = size * (0.75 + 0.5 * torch.rand(rows, entries))
    sign = 2 * binary(rows, entries) - 1
    for logits, x in (
        (near * sign, binary(rows, entries)),
        (near * sign, (sign > 0).float()),
        (torch.full_like(near, -size), torch.zeros_like(near)),
        (torch.full_like(near, size), torch.ones_like(near)),
    ):
        right = exact(logits, x)
        mine, theirs = ((p(logits, 1).log_prob(x) - right).abs() for p in (IndependentBernoulli, by_entries))
        assert (mine <= theirs.max() + 4 * EPS * right.abs() + 1e-30).all()


@pytest.mark.parametrize("shape", [(128, 784), (3, 50, 1, 28, 28), (2, 1, PIECE // 3), (3, 7, 785), (PIECE, 3)])
def test_sums_and_gradients_are_those_of_autograd(shape):
    """Several samples of one x, in one piece and in several."""
    event_dims = 3 if len(shape) == 5 else 1
    x = binary(*shape[-event_dims - 1 :])
    logits = (4 * torch.randn(shape)).requires_grad_()
    slopes, values = [], []
    for kind in (IndependentBernoulli, by_entries):
        values.append(kind(logits, event_dims).log_prob(x))
        weights = torch.linspace(-1, 2, values[0].numel()).reshape(values[0].shape)
        slopes.append(torch.autograd.grad((weights * values[-1]).sum(), logits)[0])
    torch.testing.assert_close(*values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(IndependentBernoulli(logits, event_dims).log_prob(x), values[0])


def test_first_and_second_derivatives_are_those_of_finite_differences():
    """Few of many entries, so that the gradient is the written one."""
    fixed, x = torch.randn(FEW - 3, dtype=torch.float64), binary(1, FEW).double()

    def value(logits, x):
        return IndependentBernoulli(torch.cat([logits, fixed]).unsqueeze(0), 1).log_prob(x) / 100

    few = torch.tensor([-2.0, 0.3, 5.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda few: value(few, x), few)
    assert torch.autograd.gradgradcheck(lambda few: value(few, x), few)
    (slope,) = torch.autograd.grad(value(few, x.requires_grad_()), x)
    torch.testing.assert_close(slope, torch.cat([few, fixed]).unsqueeze(0) / 100)


@pytest.mark.parametrize("shared", ["nothing", "x", "logits"])
def test_mapped_over_models_it_is_that_of_each(shared):
    x, logits = binary(3, 40, 785).double(), torch.randn(3, 40, 785).double()
    axes = 0 if shared != "x" else None, 1 if shared != "logits" else None
    given = x if shared != "x" else x[0], logits.movedim(0, 1) if shared != "logits" else logits[0]

    def loss(x, logits):
        return IndependentBernoulli(logits, 1).log_prob(x).sin().sum()

    slopes = torch.func.vmap(torch.func.grad(loss, 1), axes)(*given)
    twice = torch.func.vmap(torch.func.grad(lambda *one: torch.func.grad(loss, 1)(*one).sum(), 1), axes)(*given)
    for row in range(3):
        own = logits[row if shared != "logits" else 0].clone().requires_grad_()
        value = by_entries(own, 1).log_prob(x[row if shared != "x" else 0]).sin().sum()
        (slope,) = torch.autograd.grad(value, own, create_graph=True)
        torch.testing.assert_close(slopes[row], slope, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(twice[row], torch.autograd.grad(slope.sum(), own)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("models", [1, 12])
def test_a_traced_step_is_the_eager_one(models):
    """`make_fx` records the loss of mapped models and its gradient; other x and logits run through the record."""

    def loss(x, logits):
        return IndependentBernoulli(logits, 1).log_prob(x).mean()

    def step(x, logits):
        value = torch.func.vmap(loss)(x, logits).sum()
        return value.detach(), torch.autograd.grad(value, logits)[0]

    def drawn():
        return binary(models, 64, 785), torch.randn(models, 64, 785).requires_grad_()

    record = make_fx(step)(*drawn())
    for _ in range(2):
        given = drawn()
        with torch.no_grad():
            replayed = record(*given)
        torch.testing.assert_close(replayed, step(*given), rtol=0, atol=0)
    assert not any("softplus" in str(node.target) for node in record.graph.nodes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_in_float32(dtype):
    likelihood, z, x = likelihoods.Bernoulli(small_mlp(), 3, IMAGE), torch.randn(1, 1200, 3), binary(1200, *IMAGE)
    with torch.autocast("cpu", dtype=dtype):
        p = likelihood(z)
        (slope,) = torch.autograd.grad(p.log_prob(x).sum(), p.logits, retain_graph=True)
        value = p.log_prob(x)
    assert value.dtype == slope.dtype == torch.float32 and p.logits.numel() >= FEW
    plain = by_entries(p.logits, len(IMAGE)).log_prob(x)
    torch.testing.assert_close(value, plain, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(slope, x - p.logits.sigmoid(), rtol=1e-6, atol=1e-6)


def test_compiled_it_is_the_eager_one():
    shapes.check(0)  # checks of shapes would be compiled, too
    logits, x = torch.randn(64, 784).requires_grad_(), binary(64, 784)
    compiled = torch.compile(lambda logits: IndependentBernoulli(logits, 1).log_prob(x), backend="aot_eager")
    torch.testing.assert_close(compiled(logits), IndependentBernoulli(logits, 1).log_prob(x), rtol=1e-6, atol=1e-6)
