"""The table of combinations, tests/config/combinations.txt: allowed, or the rule that refuses and its key.

python -m tests.support.combinations
"""

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from tests.support.commands import ROOT
from vae_cli.config.rules import RULES
from vae_cli.config.schema import ClusterConfig, EvaluateConfig, LoggerConfig, Node, TrainConfig, TrainerConfig
from vae_cli.config.view import ConfigView
from vae_cli.runs.layout import conf_folder

CONF = conf_folder()
FILE = ROOT / "tests" / "config" / "combinations.txt"
ALLOWED = "allowed"
Choice = dict[str, str]
"""Options by group, and values by key."""
CODES = {"codebook": "ema", "prior": "code_transformer", "objective": "vq", "second_stage": "prior"}
COMPANIONS: dict[tuple[str, str], Choice] = {
    **{("posterior", name): {"model": "hvae"} for name in ("bottom_up", "graph", "top_down")},
    **{("posterior", name): CODES for name in ("quantised", "quantised_rotation")},
    ("posterior", "categorical"): {"prior": "categorical"},
    ("posterior", "deterministic"): {"objective": "reconstruction"},
    ("posterior", "none"): {"objective": "gan"},
    ("posterior", "per_example"): {"dataset.binarize": "static"},
    **{("prior", name): {"posterior": "categorical"} for name in ("categorical", "uniform_categorical")},
    ("prior", "code_transformer"): {"posterior": "quantised"},
    ("prior", "ex_post"): {"posterior": "deterministic"},
    **{("objective", name): {"prior": "mixture"} for name in ("vade", "vade_analytic")},
    ("objective", "gan"): {"posterior": "none"},
    ("objective", "vq"): {"posterior": "quantised"},
}
"""The choices that make an option usable, where they are not varied themselves."""
SECTIONS = (
    *(("model", group) for group in ("network", "posterior", "prior", "objective", "divergence", "likelihood")),
    ("network", "posterior"),
    ("posterior", "objective"),
    ("posterior", "prior"),
    ("prior", "objective"),
    ("divergence", "objective"),
    ("annealing", "objective"),
    ("codebook", "posterior"),
    ("refinement", "posterior"),
    ("evaluate", "posterior"),
    ("pretraining", "posterior"),
    ("pretraining", "network"),
    ("initialisation", "prior"),
    ("second_stage", "prior"),
    ("dataset", "network"),
    ("dataset.domain", "dataset.binarize", "likelihood"),
)
"""Groups, or keys, that are varied together; the other groups have the defaults of vae-train or of the preset."""
VALUES = {
    "dataset": ("digits", "linear_gaussian"),
    "dataset.domain": ("binary", "levels", "real", "unit"),
    "dataset.binarize": ("dynamic", "none"),
    "evaluate": ("gaps", "standard"),
}


def values(group: str) -> tuple[str, ...]:
    """The options of a group, or the values of a key."""
    return VALUES.get(group) or tuple(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


@cache
def read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """A file's choices of other groups, and its other content from the top level on."""
    text = path.read_text(encoding="utf-8")
    content: Any = OmegaConf.to_container(OmegaConf.create(text))
    chosen, base = {}, {}
    for entry in content.pop("defaults", []):
        if isinstance(entry, dict):
            chosen |= {str(name).removeprefix("override /"): option for name, option in entry.items()}
        elif entry != "_self_":
            base = read(path.with_name(f"{entry}.yaml"))[1]
    whole = path.parent == CONF or text.startswith("# @package _global_")
    return chosen, merged(base, content if whole else {path.parent.name: content})


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings as one; the second is the stronger."""
    both = {name for name in one if isinstance(one[name], dict) and isinstance(other.get(name), dict)}
    return one | other | {name: merged(one[name], other[name]) for name in both}


def chosen(choice: Choice) -> dict[str, str | None]:
    """The option of each group, in the order of composition."""
    fixed = {group: option for group, option in choice.items() if "." not in group}
    options = read(CONF / "train.yaml")[0].items()
    defaults = {group: option for group, option in options if "/" not in group and option != []}
    found = defaults | {"dataset": "digits"} | fixed
    for group in reversed(list(found)):  # an option chooses among the groups above its own
        if found[group]:
            found |= read(file(group, found[group]))[0] | fixed
    return found


def file(group: str, option: str) -> Path:
    return CONF / group / f"{option}.yaml"


def composed(choice: Choice) -> dict[str, Any]:
    """The configuration that hydra composes for these choices, in a hundredth of its time."""
    config = read(CONF / "train.yaml")[1]
    for group, option in chosen(choice).items():
        config = merged(config, read(file(group, option))[1] if option else {})
    for key, value in choice.items():
        group, _, name = key.partition(".")
        config = merged(config, {group: {name: yaml.safe_load(value)}}) if name else config
    return {name: value for name, value in config.items() if name != "hydra"}


def parsed(config: dict[str, Any]) -> TrainConfig:
    """The configuration in its schema, without the checks of types, which take most of the time."""
    schemas = {"trainer": TrainerConfig, "evaluate": EvaluateConfig, "logger": LoggerConfig, "cluster": ClusterConfig}
    values: dict[str, Any] = {name: schemas[name](**config[name]) for name in schemas}
    for name, value in (config | values).items():
        named = isinstance(value, dict) and "_target_" in value
        values[name] = Node(value["_target_"], {k: v for k, v in value.items() if k != "_target_"}) if named else value
    return TrainConfig(**values)


def completed(choice: Choice) -> Choice:
    """With the companions of its options; a preset of a model needs none."""
    if "model" in choice:
        return choice
    added = {}
    for option in choice.items():
        added |= COMPANIONS.get(option, {})
    return choice if added.keys() <= choice.keys() else completed(added | choice)


def outcome(choice: Choice) -> str:
    """`allowed`, or the rule that refuses and its key."""
    view = ConfigView(parsed(composed(choice)), lambda _: "")
    for rule in RULES:
        if refusal := rule(view):
            return f"{rule.__name__} {refusal.key}"
    return ALLOWED


def lines(groups: tuple[str, ...]) -> list[str]:
    """One line for each combination of the groups; values that no other value tells apart share a line."""
    options = [values(group) for group in groups]
    outcomes = {one: outcome(completed(dict(zip(groups, one, strict=True)))) for one in product(*options)}
    alike = [together(axis, options, outcomes) for axis in range(len(groups))]
    names = [[f"{group}={'|'.join(members)}" for members in sets] for group, sets in zip(groups, alike, strict=True)]
    found = [outcomes[one] for one in product(*([members[0] for members in sets] for sets in alike))]
    return [f"{' '.join(one)}: {end}" for one, end in zip(product(*names), found, strict=True)]


def together(axis: int, options: list[tuple[str, ...]], outcomes: dict[tuple[str, ...], str]) -> list[list[str]]:
    """The values of one axis in sets that have the same outcomes with all values of the others."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for value in options[axis]:
        row = tuple(end for one, end in outcomes.items() if one[axis] == value)
        sets.setdefault(row, []).append(value)
    return list(sets.values())


def table() -> str:
    """All sections, each sorted."""
    return "\n".join("\n".join([f"# {' x '.join(groups)}", *sorted(lines(groups)), ""]) for groups in SECTIONS)


def allowed(*groups: str) -> list[Choice]:
    """The combinations that the committed table allows in the section of these groups."""
    section = FILE.read_text(encoding="utf-8").partition(f"# {' x '.join(groups)}\n")[2].partition("\n\n")[0]
    found = []
    for line in section.splitlines():
        words, _, end = line.partition(": ")
        axes = [word.partition("=")[2].split("|") for word in words.split()]
        found += [dict(zip(groups, one, strict=True)) for one in product(*axes) if end == ALLOWED]
    return found


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
