"""The manners of scikit-learn, by which a run is a step of a Pipeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.commands.examples import Source
from vae_cli.evaluation.scores import Scores


class Transformer(ABC):
    """A trained model as a transformer of scikit-learn: `fit` does nothing, a clone is the model itself."""

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

    def transform(self, x: Source) -> NDArray[np.floating]:
        """The means of q(z|x), (N, d)."""
        return self.encode(x).mean.cpu().numpy()

    def fit_transform(self, x: Source, y: Any = None) -> NDArray[np.floating]:
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

    def __sklearn_is_fitted__(self) -> bool:
        return True
