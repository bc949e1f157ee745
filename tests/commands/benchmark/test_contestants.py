"""Contestants of the benchmark: a process for each, in which its programs keep what they have made."""

import os
from itertools import count

from vae_cli.commands.benchmark.contestants import Contestant, Program

NAME = "VAE_CONTESTANT"


def prepare() -> None:
    os.environ[NAME] = "prepared"


def process() -> Program:
    return lambda: float(os.getpid())


def turns(first: int) -> Program:
    numbers = count(first)
    return lambda: float(next(numbers))


def prepared() -> Program:
    return lambda: float(os.environ.get(NAME) == "prepared")


def test_the_programs_of_a_contestant_share_a_process_of_its_own() -> None:
    contestant, other = Contestant(prepare), Contestant()
    here, beside, there = contestant.program(process), contestant.program(process), other.program(process)
    assert here() == here() == beside()
    assert len({os.getpid(), here(), there()}) == 3
    assert contestant.program(prepared)() and not other.program(prepared)() and NAME not in os.environ


def test_a_program_keeps_what_it_has_made() -> None:
    contestant = Contestant()
    one, two = contestant.program(turns, 5), contestant.program(turns, 8)
    assert [one(), two(), one(), two()] == [5, 8, 6, 9]
