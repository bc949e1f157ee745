"""The parts of an evaluation, in the order of tables and of random draws; a new kind of model adds its own here."""

from vae_cli.evaluation.metrics.bounds import Bound, ImportanceWeighted
from vae_cli.evaluation.metrics.clusters import Clusters
from vae_cli.evaluation.metrics.disentanglement import DisentanglementScores
from vae_cli.evaluation.metrics.exact import Exact
from vae_cli.evaluation.metrics.gaps import InferenceGaps
from vae_cli.evaluation.metrics.images import Reconstruction, SampleMMD
from vae_cli.evaluation.metrics.latents import ActiveUnits, AggregatedPosterior, CodeUsage
from vae_cli.evaluation.metrics.metric import Metric

METRICS: tuple[type[Metric], ...] = (
    Bound,
    ImportanceWeighted,
    AggregatedPosterior,
    SampleMMD,
    ActiveUnits,
    CodeUsage,
    Clusters,
    Reconstruction,
    DisentanglementScores,
    InferenceGaps,
    Exact,
)
