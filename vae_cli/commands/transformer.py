"""The manners of scikit-learn, by which a run is a step of a Pipeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.commands.examples import Source
from vae_cli.errors import UserError
from vae_cli.evaluation.scores import Scores
from vae_cli.models.model import LatentVariableModel

if TYPE_CHECKING:
    from pandas import DataFrame
    from sklearn.utils import Tags


class Transformer(ABC):
    """A trained model as a transformer of scikit-learn: `fit` does nothing, a clone is the model itself.

    Its base classes are not those of scikit-learn, whose import takes a second of each command.

    frames: True if `transform` gives DataFrames, which `set_output` asks for
    """

    frames = False

    @property
    @abstractmethod
    def model(self) -> LatentVariableModel: ...

    @abstractmethod
    def encode(self, x: Source) -> Distribution: ...

    @abstractmethod
    def decode(self, z: ArrayLike | Tensor) -> Distribution: ...

    @abstractmethod
    def score(self, x: Source, samples: int = 100) -> Scores: ...

    def log_likelihood(self, x: Source, samples: int = 100) -> Tensor:
        """Importance-weighted log p(x) with k = `samples`, a lower bound in expectation: nats, (N,).

        It is the ELBO for codes of a codebook, whose draws are equal, and exact for enumerated latents.
        """
        return self.score(x, samples).log_likelihood

    def fit(self, x: Any = None, y: Any = None) -> Self:
        """This model, which is trained already."""
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """No parameters: the model is trained."""
        return {}

    def set_params(self, **params: Any) -> Self:
        """This model; UserError for any parameter."""
        if params:
            raise UserError(f"a trained run has no parameter {next(iter(params))}; train another run")
        return self

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """z0, z1, ..., (d,)."""
        return np.array([f"z{number}" for number in range(self.model.latent_dim)], dtype=object)

    def set_output(self, *, transform: Literal["default", "pandas"] | None = None) -> Self:
        """Let `transform` give arrays (default) or DataFrames with the index of x (pandas)."""
        if transform not in (None, "default", "pandas"):
            raise UserError(f"set_output(transform={transform!r}): use 'default' or 'pandas'")
        self.frames = self.frames if transform is None else transform == "pandas"
        return self

    def transform(self, x: Source) -> NDArray[np.floating] | DataFrame:
        """The means of q(z|x), (N, d)."""
        mean = self.encode(x).mean.cpu().numpy()
        if not self.frames:
            return mean
        from pandas import DataFrame

        return DataFrame(mean, getattr(x, "index", None), self.get_feature_names_out())

    def fit_transform(self, x: Source, y: Any = None) -> NDArray[np.floating] | DataFrame:
        """The means of q(z|x), (N, d); the model stays as it is."""
        return self.transform(x)

    def inverse_transform(self, z: ArrayLike) -> NDArray[np.floating]:
        """The means of p(x|z) for z (N, d), in the units of the data: (N, *event)."""
        return self.decode(z).mean.cpu().numpy()

    def score_samples(self, x: Source) -> NDArray[np.floating]:
        """Importance-weighted log p(x) with k = 100, nats, (N,)."""
        return self.log_likelihood(x).numpy()

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(None, TargetTags(required=False), TransformerTags())

    def __sklearn_is_fitted__(self) -> bool:
        return True
