"""Configurations drawn from all groups train with finite numbers, or are refused in a line whose remedies work."""

from pathlib import Path
from random import Random

import pytest

from tests.support.random_data import in_files, synthetic
from tests.support.random_options import Combination, composer, draw
from tests.support.random_remedies import remedies, static_complaint
from tests.support.random_runs import MOST_REMEDIES, endings
from vae_cli.config.compose import session

FEW, MANY = 2, 60
"""By default and when slow; `python -m tests.support.random_runs` draws as many as one likes."""


@pytest.mark.parametrize(
    "numbers",
    [range(FEW), pytest.param(range(FEW, MANY), marks=[pytest.mark.slow, pytest.mark.timeout(3000)])],
    ids=len,
)
def test_drawn_configurations(numbers: range, tmp_path: Path) -> None:
    wrong = [
        "\n".join([f"{number}: {ending.kind}: {ending.problem}", *ending.lines])
        for number, ending, _ in endings(1, numbers, tmp_path)
        if ending.kind != "trained"
    ]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize(
    "numbers",
    [range(3), pytest.param(range(3, 500), marks=[pytest.mark.slow, pytest.mark.timeout(6000)])],
    ids=len,
)
def test_remedies_of_refused_configurations_end_in_a_run_or_another_refusal(numbers: range, tmp_path: Path) -> None:
    kinds = synthetic() | in_files(tmp_path)
    with session():
        for number in numbers:
            combination, random, step = draw(16, number, kinds, composer()), Random(number), 0
            while (complaint := static_complaint(combination, composer())) and step < MOST_REMEDIES:
                named = remedies(complaint.message, composer(), kinds, combination.values)
                taken = [one.applied(combination, random, kinds, composer()) for one in named]
                cured = [one for one in taken if one is not None]
                assert cured, f"{number}: no remedy that a program understands: {complaint.message}"
                after = [static_complaint(one, composer()) for one in cured]
                assert all(one is None or one.rule != complaint.rule for one in after), (
                    number,
                    complaint.message,
                    after,
                )
                combination, step = cured[after.index(None)] if None in after else random.choice(cured), step + 1


REFUSED = [
    {"prior": "code_transformer"},
    {"posterior": "quantised"},
    {"refinement": "semi_amortised", "posterior": "iaf"},
    {"codebook": "ema"},
    {"objective": "gan"},
    {"posterior": "per_example"},
    {"network": "conv_spatial", "posterior": "iaf"},
    {"annealing": "linear", "objective": "iwae"},
    {"prior": "mixture", "objective": "mmd_vae"},
]


@pytest.mark.parametrize("groups", REFUSED, ids=str)
def test_each_remedy_ends_the_complaint(groups: dict[str, str]) -> None:
    kinds = synthetic()
    values: dict[str, object] = {"objective.free_bits": [0.1, 0.2]} if groups == {"codebook": "ema"} else {}
    with session():
        refused = Combination({"dataset": "digits"} | groups, values)
        complaint = static_complaint(refused, composer())
        assert complaint is not None
        named = remedies(complaint.message, composer(), kinds, values)
        assert named
        for remedy in named:
            cured = remedy.applied(refused, Random(0), kinds, composer())
            assert cured is not None
            after = static_complaint(cured, composer())
            assert after is None or after.rule != complaint.rule, remedy
