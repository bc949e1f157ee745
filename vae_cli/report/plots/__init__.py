"""The plots of a report, each a small figure."""

from __future__ import annotations

from collections.abc import Sequence

from vae_cli.report.groups import Group
from vae_cli.report.metrics import is_main
from vae_cli.report.plots.curves import curves
from vae_cli.report.plots.plane import SECTION, rate_distortion
from vae_cli.report.plots.plot import MANY, Plot, colours
from vae_cli.report.plots.sweep import against, bars, swept

__all__ = ["Plot", "colours", "plots"]


def plots(groups: Sequence[Group], metrics: Sequence[str]) -> list[Plot]:
    """All plots that the runs allow, by section."""
    few = len(groups) <= MANY
    drawn = [rate_distortion(groups), bars(groups, "test/active_units", SECTION) if few else None]
    drawn += [against(groups, key, one) for key in swept(groups) for one in metrics if few or is_main(one)]
    drawn += [curves(groups, name) for name in ("elbo", "distortion", "rate")]
    return [plot for plot in drawn if plot is not None]
