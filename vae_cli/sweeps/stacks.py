"""The division of a sweep's jobs among processes, each of which stacks its share, and how they were stacked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, is_dataclass
from itertools import chain, pairwise, zip_longest
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_cli.config import signatures
from vae_cli.config.schema import TrainConfig
from vae_cli.config.settings import types_of
from vae_cli.errors import counted
from vae_cli.runs.overrides import key_of


@dataclass
class Stacks:
    """The stacks in which the jobs of a sweep were trained.

    Args:
        together: the largest number of jobs with which each job has taken steps, by the folder of its run
        alone: the reason why a job has taken steps alone, likewise
    """

    together: dict[str, int] = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)

    def add(self, other: Stacks) -> None:
        """Add those of other jobs."""
        self.together |= other.together
        self.alone |= other.alone

    @property
    def notes(self) -> list[str]:
        """The number of jobs that were trained together, and the reason why others were not."""
        apart = {name: reason for name, reason in self.alone.items() if name not in self.together}
        counts = sorted(Counter(self.together.values()).items(), reverse=True)
        groups = [f"{counted(count, 'job')} in stacks of {size}" for size, count in counts]
        return [f"trained together: {', '.join(groups) or 'none'}", *(f"{n} alone: {why}" for n, why in apart.items())]


def divided(kinds: Sequence[Hashable], processes: int) -> list[list[int]]:
    """The numbers of the jobs for each process, by the kinds of the jobs.

    Each process has as many jobs, and a part of each kind; parts are of two jobs at least, which share a stack.

    >>> divided("aaaabbbb", 2), divided("aabb", 2), divided("aaa", 2)
    ([[0, 1, 4, 5], [2, 3, 6, 7]], [[0, 1], [2, 3]], [[0], [1, 2]])
    """
    numbers: dict[Hashable, list[int]] = {}
    for number, kind in enumerate(kinds):
        numbers.setdefault(kind, []).append(number)
    parts = [_cut(same, min(processes, max(1, len(same) // 2))) for same in numbers.values()]
    first_parts_first = chain.from_iterable(chain.from_iterable(filter(None, row)) for row in zip_longest(*parts))
    return [sorted(share) for share in _cut(list(first_parts_first), processes)]


def _cut(numbers: list[int], parts: int) -> list[list[int]]:
    """Contiguous parts of nearly equal length."""
    ends = [len(numbers) * part // parts for part in range(parts + 1)]
    return [numbers[begin:end] for begin, end in pairwise(ends)]


def kind_of(config: DictConfig, overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides of a job without its seed and its real numbers: where they are equal, models can be stacked."""
    return tuple(line for line in overrides if key_of(line) != "seed" and not _is_real(config, key_of(line)))


def _is_real(config: DictConfig, key: str) -> bool:
    """True if the key has a real number, by the annotation of its class."""
    kind: Any = TrainConfig
    for depth, name in enumerate(key.split(".")):
        target = OmegaConf.select(config, ".".join([*key.split(".")[:depth], "_target_"]))
        if target is not None:
            parameter = signatures.read(target).parameters.get(name)
            kind = parameter.annotation if parameter else None
        else:
            kind = types_of(kind).get(name, (None, None))[0] if is_dataclass(kind) and isinstance(kind, type) else None
    return "float" in str(kind)
