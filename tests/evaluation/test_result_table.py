import io

import pytest
from rich.console import Console

from vae_cli.evaluation.result_table import plain, print_table, styled


def test_a_small_standard_error_has_a_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"test/elbo": 0.00917, "test/elbo_se": 0.00031, "test/rate": 2.5, "test/rate_se": 0.25}, "numbers")
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["test/elbo", "0.0092", "0.0003"] in rows and ["test/rate", "2.500", "0.250"] in rows


def test_a_file_gets_the_table_of_a_terminal() -> None:
    rows = [
        ("train/epochs", "3", "", ""),
        ("test/elbo", "-27.421", "0.187", "nats"),
        ("test/x", "1 to 2", "", "squared"),
    ]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(styled(rows, "digits, seed=7"))
    assert plain(rows, "digits, seed=7").split("\n") == [
        line.rstrip() for line in console.export_text().split("\n")[:-1]
    ]
