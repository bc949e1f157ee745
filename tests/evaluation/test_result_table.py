import pytest

from vae_cli.evaluation.result_table import print_table


def test_a_small_standard_error_has_a_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"test/elbo": 0.00917, "test/elbo_se": 0.00031, "test/rate": 2.5, "test/rate_se": 0.25}, "numbers")
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["test/elbo", "0.0092", "0.0003"] in rows and ["test/rate", "2.500", "0.250"] in rows
