import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch

from vae_cli.config import signatures
from vae_cli.config.modules import Module
from vae_cli.config.signatures import Opaque, read
from vae_cli.types import PositiveInt

SOURCE = """
from __future__ import annotations
import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar
from torch import Tensor, nn
from vae_cli.types import PositiveFloat, PositiveInt
from .other import Far

Mode = Literal["a", "b"]

class Base:
    layouts: ClassVar = ("image",)
    outputs: ClassVar = 1

    def __init__(self, network, *, width: PositiveInt) -> None: ...

class Inherits(Base):
    outputs: ClassVar = 2

class Plain(Far, nn.Module):
    def __init__(self, built: Tensor, *, mode: "Mode", scale: PositiveFloat | None = None, net: nn.Module) -> None: ...

@dataclass(frozen=True)
class Parent:
    batch_size: PositiveInt
    domain: ClassVar[str] = "real"

@dataclasses.dataclass
class Child(Parent):
    rates: list[float] = field(default_factory=list)
    hidden: int = field(init=False)
    path: str = dataclasses.field()

class Anything:
    def __init__(self, *, known: int, **others) -> None: ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"pack_{abs(hash(str(tmp_path)))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("from .things import Plain, Child as Renamed\nraise RuntimeError('imported')\n")
    (folder / "things.py").write_text(SOURCE)
    (folder / "other.py").write_text("from typing import ClassVar\nclass Far:\n    far: ClassVar = {'a': 1}\n")
    (folder / "broken.py").write_text("class Broken(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def required(target: str) -> dict[str, bool]:
    return {name: parameter.required for name, parameter in read(target).parameters.items()}


def test_an_ordinary_class_is_configured_by_its_keyword_only_parameters(package: str) -> None:
    signature = read(f"{package}.things.Plain")
    assert required(f"{package}.things.Plain") == {"mode": True, "scale": False, "net": True}
    assert signature.parameters["mode"].annotation == Literal["a", "b"]
    assert issubclass(signature.parameters["net"].annotation, Opaque)
    assert signature.ancestors == {"Plain", "Far", "Module"}
    assert signature.constants == {"far": {"a": 1}}


def test_a_dataclass_is_configured_by_all_its_fields(package: str) -> None:
    assert required(f"{package}.things.Child") == {"batch_size": True, "rates": False, "path": True}
    assert read(f"{package}.things.Child").constants == {"domain": "real"}
    assert read(f"{package}.things.Child").parameters["batch_size"].annotation == PositiveInt


def test_constructor_and_constants_are_inherited(package: str) -> None:
    signature = read(f"{package}.things.Inherits")
    assert list(signature.parameters) == ["width"]
    assert signature.constants == {"layouts": ("image",), "outputs": 2}


def test_classes_are_found_through_their_package(package: str) -> None:
    assert read(f"{package}.Plain") == read(f"{package}.things.Plain")
    assert read(f"{package}.Renamed").parameters == read(f"{package}.things.Child").parameters


def test_any_keyword_is_taken_where_the_class_takes_any(package: str) -> None:
    assert read(f"{package}.things.Anything").constructor.open
    assert not read(f"{package}.things.Plain").constructor.open


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nothing_of_the_kind.A", "no package"),
        ("vae_cli.nothing.A", "no module vae_cli.nothing"),
        ("vae_cli.types.Nothing", "no class Nothing"),
        ("Lonely", "no module"),
        ("{package}.broken.Broken", "broken.py, line 1"),
        ("math.sin", "math"),
    ],
)
def test_what_is_not_there_is_named(package: str, target: str, reason: str) -> None:
    with pytest.raises(LookupError, match=reason):
        read(target.format(package=package))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop", "Adagrad"])
def test_optimisers_agree_with_inspection(name: str) -> None:
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    assert list(read(f"torch.optim.{name}").parameters) == list(theirs)[1:]


@pytest.mark.parametrize("name", ["ReLU", "Linear", "GELU", "Conv2d", "Softplus"])
def test_layers_agree_with_inspection(name: str) -> None:
    signature, theirs = read(f"torch.nn.{name}"), inspect.signature(getattr(torch.nn, name)).parameters
    assert list(signature.parameters) == list(theirs)
    empty = inspect.Parameter.empty
    assert required(f"torch.nn.{name}") == {key: value.default is empty for key, value in theirs.items()}


def test_our_own_classes_agree_with_inspection() -> None:
    """Every class that conf names, read statically and by import."""
    import yaml
    from hydra.utils import get_class

    conf = Path(__file__).parents[2] / "conf"
    documents = [yaml.safe_load(file.read_text()) or {} for file in conf.glob("*/*.yaml")]
    targets = {d["_target_"] for d in documents if "_target_" in d and d["_target_"].startswith("vae_cli.")}
    assert len(targets) > 10
    for target in sorted(targets):
        cls = get_class(target)
        theirs = inspect.signature(cls).parameters.values()
        if not dataclasses.is_dataclass(cls):
            theirs = [parameter for parameter in theirs if parameter.kind is parameter.KEYWORD_ONLY]
        assert sorted(read(target).parameters) == sorted(parameter.name for parameter in theirs), target
        for name, value in read(target).constants.items():
            assert getattr(cls, name) == value, target


def test_reading_imports_nothing() -> None:
    read = "from vae_cli.config.signatures import read; read('torch.optim.Adam')"
    code = f"import sys; {read}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_an_annotation_nobody_can_evaluate_becomes_opaque() -> None:
    module = Module(Path("x.py"), "", ast.parse(""))
    for text in ("Callable[[int], Tensor]", "1 / 0", "a.b.C"):
        annotation = signatures._evaluate(module, ast.parse(text, mode="eval").body)
        assert text.startswith("Callable") or issubclass(annotation, Opaque)
