"""Edits of a task's code, and whether they count: docs/fingerprint.md has a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.fingerprint import kinds

TASK = """\
import logging
import numpy as np
from helpers import scale

N = 12
DATA = [1, 2, 3]
UNUSED = 1
rng = np.random.default_rng(1)
model = scale(N)

class Model:
    def run(self, x):
        return x

def mean(x, n=N):
    values = np.arange(n) * x
    return values.mean()

def unrelated(x):
    return x

pspace = [{"x": 1}]

def execute(x):
    noise = rng.random() + model
    result = mean(x) + Model().run(x) + DATA[0]
    return {"y": result + noise}
"""
HELPERS = """\
FACTOR = 2

def scale(x):
    return x * FACTOR

def other(x):
    return x
"""


FILES = {"task_a.py": TASK, "helpers.py": HELPERS}


@dataclass(frozen=True)
class Edit:
    """A text of a file that is replaced; what it is called in the table, and whether it counts."""

    what: str
    old: str
    new: str
    counts: bool
    file: str = "task_a.py"
    files: Mapping[str, str] = field(default_factory=lambda: FILES, repr=False)


def _of_kinds(rows: list[tuple[str, str, str, str]], *, counts: bool) -> list[Edit]:
    return [Edit(what, old, new, counts, file, kinds.FILES) for file, what, old, new in rows]


def _pairs(rows: list[tuple[str, str, str, str, dict[str, str]]], *, counts: bool) -> list[Edit]:
    execute = "\n\ndef execute(x):\n    return {'y': %s}\n"
    return [
        Edit(what, old, new, counts, files={**others, "task_a.py": old + execute % value})
        for what, old, new, value, others in rows
    ]


def _edits(counts: bool, *rows: tuple[str, str, str]) -> list[Edit]:
    return [Edit(what, old, new, counts) for what, old, new in rows]


_RESULT = "    result = mean"
_TOP = "UNUSED = 1"
COUNT = _edits(
    True,
    ("the body of `execute`", "result + noise", "result - noise"),
    ("an argument of `execute`", "execute(x)", "execute(x, k=1)"),
    ("a decorator", "def mean", "@np.vectorize\ndef mean"),
    ("a default argument", "n=N", "n=2 * N"),
    ("a function that `execute` calls", "values.mean()", "values.max()"),
    ("a constant that a reached function uses", "N = 12", "N = 13"),
    ("the type of a constant", "N = 12", "N = 12.0"),
    ("an element of a list", "[1, 2, 3]", "[0, 2, 3]"),
    ("a method of a class", "        return x\n\ndef mean", "        return -x\n\ndef mean"),
    ("a base of a class", "class Model:", "class Model(dict):"),
    ("an attribute of a class", "class Model:", "class Model:\n    a = 1"),
    ("a field of a class, with its type", "class Model:", "class Model:\n    a: int = 1"),
    ("another module of the same name", "import numpy as np", "import jax.numpy as np"),
    ("the seed of a generator", "default_rng(1)", "default_rng(2)"),
    ("a draw from it that nobody uses", _TOP, "rng.random(3)"),
    ("a draw from it that is assigned", _TOP, "first = rng.random(3)"),
    ("a draw from it, printed", _TOP, "print(rng.random(3))"),
    ("an object that is given to a call", _TOP, "shuffled = np.random.shuffle(DATA)"),
    ("a method whose value is unused", _TOP, "DATA.append(3)"),
    ("a method whose value is assigned", _TOP, "last = DATA.pop()"),
    ("an object that is given by keyword", _TOP, "done = unrelated(x=DATA)"),
    ("an object that is unpacked into a call", _TOP, "done = unrelated(*DATA)"),
    ("an item that is set", _TOP, "DATA[0] = 5"),
    ("`+=`", _TOP, "N += 1"),
    ("a second assignment", _TOP, "N = 1"),
    ("a loop variable", _TOP, "for N in range(3): pass"),
    ("`global` in a function", _TOP, "def change():\n    global N\n    N = 3"),
    ("`locals()` at the top", _TOP, "locals()['N'] = 3"),
    ("`vars()` at the top", _TOP, "vars().update(N=3)"),
    ("`globals()`", _TOP, "globals()['N'] = 3"),
    ("`sys.path.append`", _TOP, "import sys\nsys.path.append('lib')"),
    ("`np.random.seed`", _TOP, "np.random.seed(1)"),
    ("`np.seterr`", _TOP, "np.seterr(all='raise')"),
    ("an environment variable", _TOP, "import os\nos.environ['A'] = '1'"),
    ("warnings made errors", _TOP, "import warnings\nwarnings.simplefilter('error')"),
    ("a new `setup`", _TOP, "def setup(i): return {}"),
    ("an `if` before a statement that counts", "N = 12", "if UNUSED: N = 12"),
    ("another operator", "* x", "+ x"),
    ("another order of operands", "np.arange(n) * x", "x * np.arange(n)"),
    ("a condition", _RESULT, "    if x: return {}\n    result = mean"),
    ("an `assert`", _RESULT, "    assert x\n    result = mean"),
    ("a call within `print`", _RESULT, "    print(rng.random())\n    result = mean"),
    ("a text that is a value", _RESULT, "    text = 'a'\n    result = mean"),
    ("annotations that a decorator may read", "def mean(x", "@np.vectorize\ndef mean(x: int"),
    ("a `yield` after `return`", "+ noise}", "+ noise}\n    yield"),
    ("an f-string", "return values.mean()", "return values.mean(), f'{n}'"),
    (
        "a name",
        "values = np.arange(n) * x\n    return values",
        "v = np.arange(n) * x\n    return v",
    ),
)
DO_NOT = _edits(
    False,
    ("a comment", "def mean(x, n=N):", "def mean(x, n=N):  # of both"),
    ("a docstring of a function", "def mean(x, n=N):", "def mean(x, n=N):\n    '''The mean.'''"),
    ("a docstring of a class", "class Model:", "class Model:\n    '''A model.'''"),
    ("a docstring of the file", "import logging\n", "'''A study.'''\nimport logging\n"),
    ("blank lines", "def mean", "\n\n\ndef mean"),
    ("blanks within a line", "N = 12", "N  =  12"),
    ("a line broken in two", "mean(x) + Model", "mean(\n        x) + Model"),
    ("parentheses", "result + noise}", "(result + noise)}"),
    ("other quotes", '"y"', "'y'"),
    ("`1_2` for `12`", "N = 12", "N = 1_2"),
    ("the order of functions", "def unrelated(x):\n    return x\n\n", ""),
    (
        "a function that nobody calls",
        "def unrelated(x):\n    return x",
        "def unrelated(x): return 2",
    ),
    ("a constant that nobody uses", _TOP, "UNUSED = 2"),
    ("a new function", _TOP, "def new(x): return x"),
    ("a new constant", _TOP, "NEW = 3"),
    ("an import that nobody uses", _TOP, "import json"),
    ("`pspace`", '[{"x": 1}]', '[{"x": 1}, {"x": 2}]'),
    ("a setting", _TOP, "max_jobs = 3"),
    ("`scheduler_args`", _TOP, "scheduler_args = {'timelimit': '10m'}"),
    ("a space made with an object", '[{"x": 1}]', "[{'x': unrelated(DATA)}]"),
    ('`if __name__ == "__main__":`', _TOP, "if __name__ == '__main__': N = 1"),
    ("type hints of arguments", "def execute(x)", "def execute(x: float)"),
    ("a type hint of what is returned", "def execute(x)", "def execute(x) -> dict"),
    ("type hints of a method", "def run(self, x)", "def run(self, x: float) -> float"),
    ("a type hint of a constant", "N = 12", "N: int = 12"),
    ("a type hint of a local", "    result = mean", "    result: float = mean"),
    ("`print` in `execute`", _RESULT, "    print(x, f'{x}')\n    result = mean"),
    ("`print` at the top", _TOP, "print(N)"),
    ("`print` of a length", _TOP, "print(len(DATA))"),
    ("`logging.basicConfig`", _TOP, "logging.basicConfig(level=10)"),
    ("`logging.info`", _RESULT, "    logging.info('at %s', x)\n    result = mean"),
    ("making a logger", _TOP, "logger = logging.getLogger('a')"),
    ("`warnings.filterwarnings`", _TOP, "import warnings\nwarnings.filterwarnings('ignore')"),
    ("an `assert` at the top", _TOP, "assert len(DATA) == 3"),
    ("a number made of a constant", _TOP, "M = float(N)"),
    ("code after `return`", "+ noise}", "+ noise}\n    x = 3\n    return x"),
    ("code after `raise`", _TOP, "def unused(x):\n    raise ValueError\n    return x"),
)
HELPER_EDITS = [
    Edit("a function of a module", "return x * FACTOR", "return x + FACTOR", True, "helpers.py"),
    Edit("a constant of a module", "FACTOR = 2", "FACTOR = 3", True, "helpers.py"),
    Edit(
        "a statement of a module that acts", "FACTOR = 2", "FACTOR = 2\nabs(1)", True, "helpers.py"
    ),
    Edit(
        "a function of a module nobody calls",
        "def other(x):\n    return x",
        "",
        False,
        "helpers.py",
    ),
    Edit("a comment in a module", "FACTOR = 2", "FACTOR = 2  # twice", False, "helpers.py"),
    Edit("a type hint in a module", "scale(x)", "scale(x: int)", False, "helpers.py"),
]
EDITS = [
    *COUNT,
    *DO_NOT,
    *HELPER_EDITS,
    *_of_kinds(kinds.COUNT, counts=True),
    *_pairs(kinds.PAIRS_THAT_COUNT, counts=True),
    *_of_kinds(kinds.DO_NOT, counts=False),
    *_pairs(kinds.PAIRS_THAT_DO_NOT, counts=False),
    *_pairs(kinds.NOT_SEEN, counts=False),
]


def table() -> str:
    """Return the table of the docs, in Markdown."""
    lines = ["| Edit | New results? |", "|---|---|"]
    lines += [f"| {edit.what} | {'yes' if edit.counts else 'no'} |" for edit in EDITS]
    return "\n".join(lines)
