"""A fused Adam that calls its kernel takes the steps of torch's own, bit by bit."""

import copy

import pytest
import torch
from torch import nn, optim

from vae_cli.training import fused_adam
from vae_cli.training.fused_adam import call_kernel

ADAM = {"lr": 1e-2, "betas": (0.8, 0.99), "eps": 1e-6, "fused": True}
KINDS = {
    "adam": (optim.Adam, ADAM),
    "weight_decay": (optim.Adam, ADAM | {"weight_decay": 0.1}),
    "decoupled": (optim.AdamW, ADAM | {"weight_decay": 0.1}),
    "maximize": (optim.Adam, ADAM | {"maximize": True}),
    "amsgrad": (optim.Adam, ADAM | {"amsgrad": True}),
    "not_fused": (optim.Adam, ADAM | {"fused": False}),
    "sgd": (optim.SGD, {"lr": 1e-2, "momentum": 0.9}),
}


def pair(kind, dtypes=(torch.float32,)):
    """Equal parameters, in two groups, each with an optimiser; the first calls its kernel."""
    made, (build, settings) = [], KINDS[kind]
    values = [torch.randn(shape, dtype=dtype) for shape in ((3, 5), (7,), ()) for dtype in dtypes]
    for _ in range(2):
        own = [nn.Parameter(value.clone()) for value in values]
        groups = [{"params": own[:2]}, {"params": own[2:], "lr": 3e-3}]
        made.append((own, build(groups, **settings)))
    call_kernel(made[0][1])
    return made


def take(made, steps, missing=()):
    """Steps by equal gradients and a learning rate that falls."""
    for number in range(steps):
        gradients = [torch.randn_like(value) for value in made[0][0]]
        for own, optimizer in made:
            for place, (value, gradient) in enumerate(zip(own, gradients, strict=True)):
                value.grad = None if place in missing else gradient.clone()
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
            optimizer.step()


def assert_equal(made):
    (mine, one), (theirs, other) = made
    assert all(map(torch.equal, mine, theirs))
    own, others = one.state_dict(), other.state_dict()
    assert own["param_groups"] == others["param_groups"]
    torch.testing.assert_close(own["state"], others["state"], rtol=0, atol=0)


@pytest.mark.parametrize("dtypes", [(torch.float32,), (torch.float32, torch.float64)], ids=["one", "two"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch(kind, dtypes):
    """Also where a parameter has its first gradient later, and where one has none for a while."""
    made = pair(kind, dtypes)
    take(made, 3, missing=[0])
    take(made, 3)
    take(made, 2, missing=[1, 2])
    take(made, 2)
    assert_equal(made)


@pytest.mark.parametrize("kind", ["adam", "decoupled"])
def test_all_steps_but_the_first_call_the_kernel(kind, monkeypatch):
    made, calls = pair(kind), []
    call = fused_adam._call
    monkeypatch.setattr(fused_adam, "_call", lambda group, *lists: calls.append(group) or call(group, *lists))
    take(made, 4)
    assert len(calls) == 3 * 2
    assert_equal(made)


def test_a_state_is_loaded_and_forgotten():
    """As where a training resumes, and where a phase begins."""
    made = pair("adam")
    take(made, 2)
    states = [copy.deepcopy(optimizer.state_dict()) for _, optimizer in made]
    take(made, 2)
    for (_, optimizer), state in zip(made, states, strict=True):
        optimizer.load_state_dict(state)
    take(made, 2)
    assert_equal(made)
    for _, optimizer in made:
        optimizer.state.clear()
    take(made, 2)
    assert_equal(made)
    assert {float(state["step"]) for state in made[0][1].state.values()} == {2.0}


def test_hooks_and_scaled_gradients_are_those_of_torch():
    made, seen = pair("adam"), []
    handles = [optimizer.register_step_post_hook(lambda *_: seen.append(1)) for _, optimizer in made]
    take(made, 2)
    assert len(seen) == 4
    for handle in handles:
        handle.remove()
    for scale in (4.0, float("inf")):  # steps with infinite gradients are left out
        for own, optimizer in made:
            scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
            scaler.scale(torch.stack([(scale / 4 * value).square().sum() for value in own]).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
    take(made, 1)
    assert_equal(made)
