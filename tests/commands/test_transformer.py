"""A run with the manners of scikit-learn."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import vae_cli
from tests.support.configs import composed
from tests.support.training import train
from vae_cli.commands.run import Run
from vae_cli.errors import UserError


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on digits."""
    folder = tmp_path_factory.mktemp("transformer") / "run"
    train(composed("dataset=digits", "network.hidden=[16]", "model.latent_dim=3", "trainer.max_epochs=1"), folder)
    return vae_cli.load(folder)


def test_a_run_is_a_step_of_a_pipeline(digits: Run) -> None:
    x = digits.data.test.x.float().numpy() / 255
    pipeline = make_pipeline(digits, StandardScaler())
    z = pipeline.fit_transform(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(pipeline.inverse_transform(z), digits.reconstruct(x), atol=1e-5)
    assert digits.score_samples(x[:4]).shape == (4,)
    assert make_pipeline(FunctionTransformer(), digits).score_samples(x[:4]).shape == (4,)
    search = GridSearchCV(Pipeline([("vae", digits), ("by", LogisticRegression())]), {"by__C": [0.1, 1]}, cv=2)
    assert search.fit(x, np.arange(len(x)) % 2).best_params_["by__C"] in (0.1, 1)
    assert digits.get_params() == {} and digits.set_params() is digits
    with pytest.raises(UserError, match="no parameter beta; train another run"):
        digits.set_params(beta=4)


def test_a_frame_goes_in_and_comes_out(digits: Run) -> None:
    x = pd.DataFrame((digits.data.test.x[:5].float() / 255).flatten(1).numpy().round(), index=[*"abcde"])
    mean = digits.transform(x)
    frame = make_pipeline(copy.copy(digits)).set_output(transform="pandas").fit_transform(x)
    assert list(frame) == ["z0", "z1", "z2"] and list(frame.index) == [*"abcde"]
    np.testing.assert_array_equal(frame, mean)
    mixed = x.astype({0: "Int64", 1: "boolean", 2: object, 3: bool})
    np.testing.assert_array_equal(digits.transform(mixed), mean)
    mixed.iloc[3, 0] = pd.NA
    for wrong, message in (
        (mixed, "row 3 holds nan"),
        (x.assign(**{"0": "a"}), "column 0 holds .*; numbers are needed, convert it"),
        (x.assign(**{"0": pd.Timestamp(0)}), "column 0 holds datetime64"),
        ({"x": 1}, "numbers are needed, not dict"),
        (iter([]), "x: the iterator holds no examples"),
    ):
        with pytest.raises(UserError, match=message):
            digits.score(wrong, 2)
