"""Words: docstrings, comments, messages, conf and pages keep to the field's terms, subject first."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "vae_cli").rglob("*.py"))
PAGES = sorted([*(ROOT / "conf").rglob("*.yaml"), *ROOT.glob("vae_cli/docs/*.md"), *ROOT.glob("*/README.md")])
OPENINGS = re.compile(r"(?:^|[.:;?!] +)(?:Of (?!course)\w+|The same\b)|^(?:Whether|What|Who|Where|How)\b")
REMEDY = re.compile(r"(?:^|; |, or |, | or )(?:take|say|name|leave out) ")
PRIVATE = re.compile(
    r"\b(?:slopes?|standing|judges?|contests?|mends?|rivals?|whoever|whatever it|stands? in for|in spite of"
    r"|goes on (?:with|from|without|in)|go on (?:with|from|without)|the first (?:one|process) (?:writes|reads|tells)"
    r"|has no say|nothing but|no more than one|that nobody|alike)\b"
)


def sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, kind and text of each docstring, comment and message of a module."""
    source = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    pieces = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            pieces.add(node.value)
            yield node.lineno, "docstring", node.value.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "message", text
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in pieces:
            yield node.lineno, "message", node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], "comment", token.string.lstrip("# ")


def faults(kind: str, text: str) -> Iterator[str]:
    paragraph = " ".join(text.partition(">>>")[0].split())
    if kind != "message" and (found := OPENINGS.search(paragraph)):
        yield f"begins with {found.group()!r}"
    if kind == "message" and (found := REMEDY.search(paragraph)):
        yield f"remedy {found.group().strip()!r}"
    if found := PRIVATE.search(paragraph):
        yield f"private word {found.group()!r}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_words_of_a_module(path: Path) -> None:
    found = [
        f"{path.name}:{line}: {fault}: {text}" for line, kind, text in sentences(path) for fault in faults(kind, text)
    ]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            words = ast.get_docstring(node)
            if words is not None and len(words.split()) <= 3:
                found.append(f"{path.name}:{node.lineno}: {node.name} says only {words!r}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_words_of_a_page(path: Path) -> None:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    found = [f"{number}: {fault}: {line}" for number, line in lines for fault in faults("page", line.lstrip("#-*| "))]
    assert not found, "\n".join(found)


TARGETS = {name for path in PAGES for name in re.findall(r"_target_: (vae_cli\.\S+)", path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_class_that_conf_names_explains_each_of_its_keys(target: str) -> None:
    module, _, name = target.rpartition(".")
    cls = getattr(import_module(module), name)
    words = " ".join(parent.__doc__ or "" for parent in cls.__mro__ if parent.__module__.startswith("vae_cli"))
    keys = [key for key, one in inspect.signature(cls).parameters.items() if one.kind is one.KEYWORD_ONLY]
    assert [key for key in keys if not re.search(rf"\b{key}\b(?:, \w+)*:", words)] == []
