import torch

from vae_cli.datasets.noise import bernoulli, fixed_bernoulli, seed_of, threshold, uniform_bytes


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_uniform_bytes_reach_0_to_254_equally_often():
    n = 2_000_003  # not a multiple of eight
    counts = uniform_bytes(torch.Size((n,)), generator(0)).long().bincount(minlength=256).double()
    assert counts[255] == 0
    chi2 = ((counts[:255] - n / 255) ** 2 / (n / 255)).sum().item()
    assert 150 < chi2 < 380  # 254 degrees of freedom: mean 254, standard deviation 22.5


def test_bytes_are_drawn_with_probability_k_over_255():
    n = 4000
    k = torch.arange(256, dtype=torch.uint8).expand(n, 256).contiguous()
    frequency = bernoulli(k, generator(1)).double().mean(0)
    p = torch.arange(256).double() / 255
    error = (frequency - p) / (p * (1 - p) / n).sqrt().clamp_min(1e-12)
    assert frequency[0] == 0 and frequency[255] == 1
    assert error[1:255].abs().max() < 4.5
    assert 0.8 < error[1:255].std() < 1.2


def test_floats_are_drawn_with_probability_x():
    x = (torch.arange(17) / 16).expand(20_000, 17)
    frequency = bernoulli(x, generator(2)).mean(0)
    assert frequency[0] == 0 and frequency[16] == 1
    torch.testing.assert_close(frequency, x[0], atol=0.02, rtol=0)


def test_draws_follow_their_generator_and_leave_the_global_one_alone():
    k = torch.randint(0, 256, (64, 28, 28), dtype=torch.uint8)
    state = torch.get_rng_state()
    a, b, c = (bernoulli(k, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fixed_draw_holds_0_and_255_and_threshold_is_strict():
    k = torch.randint(0, 256, (5000, 3), dtype=torch.uint8)
    drawn = fixed_bernoulli(k, 5)
    assert drawn.dtype == torch.uint8 and set(drawn.unique().tolist()) == {0, 255}
    assert torch.equal(drawn, fixed_bernoulli(k, 5)) and not torch.equal(drawn, fixed_bernoulli(k, 6))
    assert threshold(torch.tensor([0, 127, 128, 255], dtype=torch.uint8)).tolist() == [0, 0, 255, 255]
    assert threshold(torch.tensor([0.0, 0.5, 0.51, 1.0])).tolist() == [0, 0, 255, 255]


def test_seeds_differ_with_every_part():
    seeds = [seed_of("noise", s, e, b) for s in range(5) for e in range(5) for b in range(5)]
    assert len(set(seeds)) == 125 and seed_of("noise", 1, 2, 3) != seed_of("order", 1, 2, 3)
