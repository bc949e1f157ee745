"""Every key of results.json with its unit and meaning; `python -m vae_cli.evaluation.keys` writes them into a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from vae_cli.evaluation import numbers
from vae_cli.evaluation.numbers import Number

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
BEGIN, END = "<!-- metrics -->", "<!-- /metrics -->"
SPLITS = ("test", "val", "val_split", "train", "train_split")
"""Prefixes of the numbers of a split; val_split and train_split after training, val and train by `vae-eval`."""


@dataclass(frozen=True)
class Section:
    """Keys with a common prefix, the first of `prefixes` on the page."""

    title: str
    prefixes: tuple[str, ...]
    numbers: tuple[Number, ...]


TRAINING = (
    Number("epochs", "", "Epochs of training, all phases together."),
    Number("steps", "", "Updates of the parameters."),
    Number(
        "stopped",
        "",
        "The cause of the end: `trainer.max_epochs`, `trainer.patience`, a pruner, or a callback.",
    ),
    Number("best_epoch", "", "Epoch of best.ckpt, from 1."),
    Number("best_by", "", "The number that chose this epoch, or `the last epoch`."),
    Number("samples_per_second", "1/s", "Training examples for each second of training."),
)
RUN = (
    Number("status", "", "`done`, `pruned`, `failed`, `interrupted`, or `unfinished` while the run has not ended."),
    Number("error", "", "The message of a failed or interrupted run."),
    Number("seed", "", "Seed of initial weights, batches and noise."),
    Number("checkpoint", "", "The checkpoint that `vae-eval` evaluates."),
    Number("wall_seconds", "s", "Seconds of training, evaluation and figures, all starts of the run together."),
    Number("save_seconds", "s", "Seconds of the longest write of a checkpoint."),
    Number(
        "starts",
        "",
        "Each start of the run: `began`, `host`, `job` of SLURM, `seconds`, the reason of its `end`, `command` as it "
        "was typed, `processor`, `gpu`, `threads`, `processes`, `pid`; `saved` is true if it wrote a checkpoint.",
    ),
    Number("threads", "", "CPU threads."),
    Number("precision", "", "`trainer.precision`; where it is `fastest`, the one that was chosen."),
    Number("compiled", "", "True if the training step was compiled."),
    Number("measured/*", "1/s", "Training examples for each second in the steps that `trainer=fast` measured."),
    Number("continued_at", "", "Epochs after which the run continues under another learning-rate schedule, a list."),
    Number("init/checkpoint", "", "File of the weights of `init=...`."),
    Number("init/sha256", "", "SHA-256 of this file."),
    Number("init/epoch", "", "Epoch of this file."),
    Number("init/parts", "", "Parts of the model that start from these weights."),
    Number("init/left", "", "Parts that do not fit these weights, with the reason."),
    Number("evaluate/*", "", "The settings of the evaluation, as in `evaluate.*`."),
    Number("model/parameters", "", "Parameters of the model."),
    Number("data/name", "", "Name of the data set."),
    Number("data/sha256", "", "SHA-256 of its three splits, after binarisation."),
    Number("data/domain", "", "Domain of an entry of x."),
    Number("data/standardised", "", "`true` if the model sees standardised data."),
    Number(
        "data/log_scale",
        "nats",
        "Sum of the log standard deviations of standardised data: log p(x) = log p(standardised x) - this number.",
    ),
    Number("data/class_names", "", "Names of the labels, a list."),
    Number("data/*_size", "", "Examples of the split train, val or test."),
    Number("version/*", "", "Versions of Python and of all packages that the run imported."),
    Number("git/commit", "", "Commit of vae-cli, if it runs from a git checkout."),
    Number("git/dirty", "", "`true` if its code differs from this commit; the difference is in `git.diff`."),
    Number("project/commit", "", "Commit of another git checkout in which the command was started."),
    Number("project/dirty", "", "`true` if that differs from this commit; the difference is in `project.diff`."),
    Number("reproduction/run", "", "The run that `reproduce=...` names."),
    Number("reproduction/different", "", "Numbers that differ from those of that run."),
)
EVALUATION = (
    Number("examples", "", "Examples of the split that the numbers are means over."),
    *numbers.LEFT_OUT,
    *dict.fromkeys(  # bits_per_dim is a number of two metrics
        (
            *numbers.BOUND,
            *numbers.IMPORTANCE_WEIGHTED,
            *numbers.AGGREGATED_POSTERIOR,
            *numbers.SAMPLE_MMD,
            *numbers.ACTIVE_UNITS,
            *numbers.CODE_USAGE,
            *numbers.CLUSTERS,
            *numbers.RECONSTRUCTION,
            *numbers.DISENTANGLEMENT,
        )
    ),
)
SECTIONS = (
    Section("The evaluated split", SPLITS, EVALUATION),
    Section("Exact answers", ("exact",), numbers.EXACT),
    Section("Inference gaps (`evaluate=gaps`)", ("gaps",), numbers.GAPS),
    Section("Training", ("train",), TRAINING),
    Section("The run", ("",), RUN),
)
LABELS = {number.name: number.label for one in SECTIONS for number in one.numbers if number.label}
"""Names of numbers in a report, in its order."""
BETTER = {number.name: number.better for one in SECTIONS for number in one.numbers if number.better}
"""1 where a larger number is better, -1 where a smaller one is."""
MAIN = tuple(number.name for one in SECTIONS for number in one.numbers if number.main)
"""Numbers in the tables of a terminal."""


def find(key: str) -> Number | None:
    """The entry of a key of results.json, or of its standard error.

    >>> find("test/rate_z2_se").unit, find("train/epochs").unit, find("test/unheard_of")
    ('nats', '', None)
    """
    name = key.removesuffix("_se")
    for section in SECTIONS:
        for prefix in section.prefixes:
            for number in section.numbers:
                if fnmatchcase(name, f"{prefix}/{number.name}" if prefix else number.name):
                    return number
    return None


def table() -> str:
    """All keys as tables in Markdown."""
    return "\n".join(line for section in SECTIONS for line in _lines(section))


def _lines(section: Section) -> Iterator[str]:
    yield from (f"\n### {section.title}\n", "| key | unit | meaning |", "|---|---|---|")
    prefix = f"{section.prefixes[0]}/" if section.prefixes[0] else ""
    for number in section.numbers:
        meaning = number.help.replace("|", "\\|")
        yield f"| `{prefix}{number.name}` | {number.unit} | {meaning} |"


def page(text: str) -> str:
    """The text of a page, its part between the two marker lines replaced by the table of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
