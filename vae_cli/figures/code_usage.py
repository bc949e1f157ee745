"""The figure of a codebook."""

from __future__ import annotations

from matplotlib.figure import Figure

from vae_cli.figures.examples import Inputs
from vae_cli.figures.style import BLUE, GREY, TEXT_WIDTH
from vae_cli.models.codebooks import Usage


def code_usage(inputs: Inputs) -> Figure:
    """Share of each of K codes, the largest first, and 1/K as a line."""
    counts = inputs.examples.code_counts
    assert counts is not None
    codes, usage = len(counts), Usage.of(counts)
    shares = (counts / counts.sum()).sort(descending=True).values
    figure = Figure(figsize=(TEXT_WIDTH, 0.36 * TEXT_WIDTH))
    axes = figure.subplots()
    axes.bar(range(1, codes + 1), shares.numpy(), width=1.0, color=BLUE)
    axes.axhline(1 / codes, color=GREY, linewidth=0.5, linestyle=":")
    axes.margins(x=0)
    axes.set(xlabel="code, by share", ylabel="share")
    axes.set_title(f"perplexity {usage.perplexity:.1f} of {codes} codes; {usage.usage:.0%} in use")
    return figure
