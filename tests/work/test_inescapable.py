"""Which failures prove that all other items fail, too."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from psyflow.work.inescapable import Inescapable

_HEAD = """
import json, subprocess
PROGRAM = "no-such-program"
model = None
def helper(a, b):
    return a
def deep(x):
    return nobody(x)
"""

PROVEN = {
    "a name": "return {'y': nobody(x)}",
    "a name, two calls down": "return {'y': deep(x)}",
    "a name behind text that is no ASCII": "return {'é': 'é' + nobody}",
    "an attribute of a module": "y = x + 1\nreturn {'y': json.nothing(y)}",
    "a module": "import no_such_module",
    "a name in a module": "from json import nothing",
    "a module that does not load": "import damaged",
    "arguments of a helper": "return {'y': helper(x)}",
    "a program": "subprocess.run(['no-such-program', str(x)])",
    "a program whose name is a constant": "subprocess.run([PROGRAM, str(x)], check=True)",
    "a function that is called in place": "return (lambda v: nobody + v)(x)",
}
ESCAPED = {
    "a condition": "if x > 5:\n    return nobody",
    "an expression's condition": "return x and nobody",
    "the other side of it": "return 0 if x is None else nobody",
    "a loop": "for i in range(x):\n    nobody(i)",
    "a loop in brackets": "return [nobody for i in range(x)]",
    "what may be caught": "try:\n    int(x)\n    nobody\nexcept ValueError:\n    return {}",
    "what may be suppressed": "with open(__file__):\n    nobody",
    "an end before it": "if x > 100:\n    return {}\nreturn nobody",
    "a skip before it": "if x > 100:\n    raise RuntimeError\nreturn nobody",
    "an attribute of a value": "return x.nothing",
    "an attribute by its name": "return getattr(json, f'no{x}')",
    "a program that a pset names": "subprocess.run([f'no-such-program-{x}'])",
    "arguments that a pset may give": "return helper(*[x])",
    "a file": "open(f'{x}.txt')",
    "a file of a constant name": "open('no-such-file')",
    "a global that other items set": "if x > 100:\n    cache()\nreturn known",
    "what a value refuses": "return {'y': len(x)}",
    "any other exception": "raise ValueError(x)",
    "a local name": "if x > 100:\n    y = 1\nreturn y",
}


def _module(folder: Path, body: str) -> ModuleType:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    source = f"{_HEAD}\ndef execute(x):\n{lines}\ndef cache():\n    global known\n    known = 1\n"
    file = folder / "own.py"
    file.write_text(source)
    (folder / "damaged.py").write_text("x = nobody\n")
    spec = importlib.util.spec_from_file_location(f"own_{len(source)}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_inescapable(execute: Callable[..., object]) -> bool:
    inescapable = Inescapable(execute)
    try:
        execute(x=7)
    except Exception as error:
        frames = error.__traceback__ and error.__traceback__.tb_next
        found = inescapable(error, frames, ["x"])
        assert inescapable(error, frames, ["x"]) is found
        return found
    raise AssertionError("it did not fail")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "damaged", raising=False)
    return tmp_path


@pytest.mark.parametrize("body", PROVEN.values(), ids=PROVEN)
def test_what_no_pset_escapes(folder: Path, body: str) -> None:
    assert _is_inescapable(_module(folder, body).execute)


@pytest.mark.parametrize("body", ESCAPED.values(), ids=ESCAPED)
def test_what_others_may_escape(folder: Path, body: str) -> None:
    assert not _is_inescapable(_module(folder, body).execute)


def test_arguments_that_the_function_does_not_take() -> None:
    def execute(z: int) -> dict[str, int]:
        return {"y": z}

    assert _is_inescapable(execute)


def test_a_generator_is_not_followed(folder: Path) -> None:
    module = _module(folder, "return list(rows(x))")
    exec(compile("def rows(x):\n    yield nobody", "nowhere.py", "exec"), vars(module))
    assert not _is_inescapable(module.execute)


def test_a_source_that_was_edited_since(folder: Path) -> None:
    module = _module(folder, "return nobody")
    (folder / "own.py").write_text("def execute(:\n")
    assert not _is_inescapable(module.execute)
