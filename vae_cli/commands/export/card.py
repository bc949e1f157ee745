"""The model card of an export or of a published run: its model, numbers and data, and the lines that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import vae_cli
from vae_cli.commands import notebook
from vae_cli.commands.export.parts import Parts
from vae_cli.commands.export.recipe import recipe
from vae_cli.commands.run import Run
from vae_cli.errors import counted

HEADER = """\
---
library_name: vae_cli
tags: [variational-autoencoder]
---"""
OWN_PROPOSAL = "`log_w` is log p(x, z) / q(z|x). The log of the mean of its exponentials over k draws is the \
importance-weighted log-likelihood."
OTHER_PROPOSAL = "The draws of z are those of N(mean, scale²), which is not the q(z|x) of the model: the mean of \
`log_w` is a lower bound, and not the ELBO of results.json."


def card(run: Run, code: str, before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
    """The text of README.md, Markdown with the header that a model hub reads.

    Args:
        code: lines of Python that use the model, with paragraphs `before` and `after` them
    """
    lines = [HEADER, f"# {run.config.objective.name} on {run.facts.name}", _model(run), *before]
    lines += ["## Run it", f"```python\n{code}\n```", *after]
    return "\n\n".join([*lines, "## Numbers", _numbers(run), "## Data", _data(run)]) + "\n"


def card_of_parts(run: Run, parts: Parts, form: str, differences: Mapping[str, float]) -> str:
    """The card of an export."""
    code = recipe(run, {part.name: part.outputs for part in parts.found}, form)
    kept = "`config.json` holds the whole configuration and all numbers."
    return card(run, code, [kept, "## Files", _files(parts, form, differences)], _proposal(run, parts, form))


def _model(run: Run) -> str:
    config, model = run.config, run.model
    count = sum(parameter.numel() for parameter in model.parameters())
    kinds = f"q(z|x) {config.posterior.name}, p(z) {config.prior.name}, p(x|z) {config.likelihood.name}"
    sizes = (
        f"network {config.network.name}, z of {counted(model.latent_dim, 'dimension')}, {counted(count, 'parameter')}"
    )
    return f"{kinds}, {sizes}. Written by vae_cli {vae_cli.__version__}."


def _files(parts: Parts, form: str, differences: Mapping[str, float]) -> str:
    """The inputs and the outputs of each part, and its largest difference from the model that was trained."""
    rows = ["| part | from | to | |", "| --- | --- | --- | --- |"]
    for part in parts.found:
        inputs, outputs = ", ".join(part.inputs), ", ".join(part.outputs)
        rows.append(f"| {part.name} | {inputs} | {outputs} | {_cell(type(part).__doc__ or '')} |")
    rows += [f"| {name} | | | left out: {_cell(reason)} |" for name, reason in parts.left_out.items()]
    worst = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    return "\n".join([*rows, "", f"Format {form}. Largest |a - b| / (1 + |b|) from the trained model: {worst}."])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _proposal(run: Run, parts: Parts, form: str) -> list[str]:
    """A sentence about the weights of the recipe, where it computes them."""
    if form == "safetensors" or "scorer" in parts.left_out or not run.model.is_continuous:
        return []
    return [OWN_PROPOSAL if "factorised" in run.model.posterior.provides else OTHER_PROPOSAL]


def _numbers(run: Run) -> str:
    rows = [f"| {name} | {value} |" for name, value in notebook.main_numbers(run.results).items()]
    note = "± is the standard error. `vae-train --help results` explains each number."
    return "\n".join(["| number | value |", "| --- | --- |", *rows, "", note])


def _data(run: Run) -> str:
    facts = run.facts
    shape = ", ".join(map(str, facts.event_shape))
    size = f"x ({shape}), {facts.domain}, {counted(facts.examples, 'training example')}"
    return f"{facts.name}: {size}. SHA-256 of the data: `{facts.sha256}`."
