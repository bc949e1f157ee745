"""Words: docstrings, comments, messages, conf and pages keep to the field's terms, subject first."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

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


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, kind and text of each docstring, comment and message of a module."""
    source = path.read_text(encoding="utf-8")
    nodes = nodes_of(path)
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
    for token in tokenize.generate_tokens(io.StringIO(source).readline) if "#" in source else ():
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


def short_docstrings(path: Path) -> Iterator[str]:
    """Public names whose docstring says no more than the name."""
    for node in nodes_of(path):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            words = ast.get_docstring(node)
            if words is not None and len(words.split()) <= 3:
                yield f"{path.name}:{node.lineno}: {node.name} says only {words!r}"


def test_the_words_of_the_modules() -> None:
    found = [
        f"{path.name}:{line}: {fault}: {text}"
        for path in SOURCES
        for line, kind, text in sentences(path)
        for fault in faults(kind, text)
    ]
    found += [one for path in SOURCES for one in short_docstrings(path)]
    assert not found, "\n".join(found)


def test_the_words_of_the_pages() -> None:
    found = [
        f"{path.name}:{number}: {fault}: {line}"
        for path in PAGES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for fault in faults("page", line.lstrip("#-*| "))
    ]
    assert not found, "\n".join(found)


TARGETS = {name for path in PAGES for name in re.findall(r"_target_: (vae_cli\.\S+)", path.read_text(encoding="utf-8"))}


def unexplained(target: str) -> list[str]:
    """The keys of a class that no docstring of it or of its bases explains."""
    module, _, name = target.rpartition(".")
    cls = getattr(import_module(module), name)
    words = " ".join(parent.__doc__ or "" for parent in cls.__mro__ if parent.__module__.startswith("vae_cli"))
    keys = [key for key, one in inspect.signature(cls).parameters.items() if one.kind is one.KEYWORD_ONLY]
    return [f"{target}.{key}" for key in keys if not re.search(rf"\b{key}\b(?:, \w+)*:", words)]


def test_a_class_that_conf_names_explains_each_of_its_keys() -> None:
    assert [key for target in sorted(TARGETS) for key in unexplained(target)] == []
