"""A study with one of each kind of thing that Python code is made of, and edits of each.

`tests/fingerprint/edits.py` makes a table of them, with its own.
"""

from __future__ import annotations

FILES = {
    "task_a.py": """\
import contextvars
import functools
import importlib
import os
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict, overload
import numpy as np
import lab
import lab.shapes
from lab import launch as start, measures
from lab.stars import *
from lab.plug import REGISTRY
from lab.shapes import Circle, Mode, Options

if TYPE_CHECKING:
    from lab.hints import Vector

try:
    import surely_not_installed as backend
except ImportError:
    from lab import slow as backend

if os.name == "posix":
    STEP = 1
else:
    STEP = 2

LEVEL = contextvars.ContextVar("LEVEL", default=3)
LIMITS = {"low": 0, "high": 10}
ORDER = ["b", "a"]
ORDER.sort()
LIMITS.update(high=20)
TOTAL = 1
TOTAL += 1
SPARE = 5
del SPARE
Pair = tuple[int, int]
TABLE = {"double": lambda x: 2 * x, "triple": lambda x: 3 * x}
twice = functools.partial(measures.times, factor=2)
chosen = importlib.import_module("lab.chosen")
TEXT = "a" "b"
with open(os.devnull) as null:
    NOTHING = null.read()
measures.tune(4)
measures.OFFSET = 1
start_of_all = (1, 2)
first, *others = start_of_all
lock = threading.Lock()

class Shaped(Protocol):
    def area(self) -> float: ...

class Row(TypedDict):
    name: str

class Point(NamedTuple):
    x: int
    y: int = 2

@overload
def convert(x: int) -> int: ...
@overload
def convert(x: str) -> str: ...
def convert(x):
    return x

@functools.lru_cache(maxsize=8)
def cached(x):
    return x + 1

@measures.scaled(3)
def scaled(x):
    return x

@functools.singledispatch
def weigh(x):
    return 0

@weigh.register
def _(x: int):
    return 5

@weigh.register(str)
def _(x):
    return 6

def counter(n):
    total = n
    def add(x):
        nonlocal total
        total += x
        return total
    return add

count = counter(10)

def classify(x):
    match x:
        case 0:
            return "none"
        case int(n) if n > 5:
            return "many"
        case _:
            return "some"

def walrus(x):
    return y if (y := x + 1) else 0

def asked(x):
    return getattr(measures, "shift")(x)

def named(name):
    return globals()[name]

def cleaned(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        return 0
    finally:
        x = None

def produced(n):
    yield from range(n)

async def waited(x):
    return x

def keyword(x, /, y=2, *args, key=3, **rest):
    return x + y + key

def execute(x):
    circle = Circle(x)
    values = [
        lab.total(x), lab.shapes.unit(x), start(x), starred(x), REGISTRY["one"](x),
        circle.area, circle.name, circle.missing, circle.size, Mode.FAST.value,
        Options().depth, Options().layers, backend.solve(x), STEP, LEVEL.get(), LIMITS["high"],
        ORDER[0], TOTAL, TABLE["double"](x), twice(x), chosen.pick(x), TEXT, NOTHING,
        Point(1).y, convert(x), cached(x), scaled(x), weigh(x), weigh("a"), count(x),
        classify(x), walrus(x), asked(x), cleaned(x), list(produced(x)), keyword(x),
        lab.lazy, first, others, measures.OFFSET, measures.tuned(), lab.shapes.Base.made,
        measures.managed(x), measures.stacked(x), lab.deep.inner.deepest(x),
    ]
    return {"y": repr(values)}
""",
    "lab/__init__.py": """\
from .core import launch, total
from . import deep
from .unused import unneeded
__all__ = ["launch", "total"]
VERSION = "1"

def __getattr__(name):
    if name == "lazy":
        return 7
    raise AttributeError(name)
""",
    "lab/core.py": """\
from .numbers import RATE as rate

def total(x):
    return x * rate

def launch(x):
    from .late import later
    return later(x)

def idle(x):
    return x
""",
    "lab/numbers.py": "RATE = 1.5\nOTHER = 2\n",
    "lab/late.py": "def later(x):\n    return x + 1\n",
    "lab/unused.py": "def unneeded(x):\n    return x\n",
    "lab/hints.py": "Vector = list\n",
    "lab/slow.py": "def solve(x):\n    return x - 1\n",
    "lab/chosen.py": "def pick(x):\n    return x % 2\n",
    "lab/deep/__init__.py": "from . import inner\n",
    "lab/deep/inner.py": "from ..numbers import OTHER\n\ndef deepest(x):\n    return OTHER\n",
    "lab/stars.py": """\
__all__ = ["starred"]

def starred(x):
    return hidden(x)

def hidden(x):
    return x
""",
    "lab/plug.py": """\
REGISTRY = {}

def register(name):
    def keep(function):
        REGISTRY[name] = function
        return function
    return keep

@register("one")
def one(x):
    return x

@register("two")
def two(x):
    return 2 * x
""",
    "lab/shapes.py": """\
import dataclasses
import enum
from lab.plug import register

class Meta(type):
    def __new__(mcs, name, bases, body):
        made = super().__new__(mcs, name, bases, body)
        made.made = 11
        return made

class Base(metaclass=Meta):
    factor = 2
    def __getattr__(self, name):
        return 9

class Squared:
    def __get__(self, owner, kind=None):
        return owner.r ** 2

class Circle(Base):
    size = Squared()
    def __init__(self, r):
        self.r = r
    @property
    def area(self):
        return self.factor * self.r
    @staticmethod
    def helper(x):
        return x
    @property
    def name(self):
        return "circle"

class Mode(enum.Enum):
    FAST = 1
    SLOW = 2

@dataclasses.dataclass
class Options:
    depth: int = 2
    layers: list = dataclasses.field(default_factory=lambda: [1])

def unit(x):
    return x

@register("three")
def three(x):
    return x
""",
    "lab/measures.py": """\
import contextlib
import functools

OFFSET = 0
_state = {"tuned": 0}

def times(x, factor):
    return x * factor

def scaled(by):
    def wrap(function):
        @functools.wraps(function)
        def call(x):
            return by * function(x)
        return call
    return wrap

def tune(n):
    _state["tuned"] = n

def tuned():
    return _state["tuned"]

def shift(x):
    return x + 3

@contextlib.contextmanager
def context():
    yield 4

def managed(x):
    with context() as found:
        return found

@scaled(2)
@scaled(5)
def stacked(x):
    return x
""",
    "psy-conf.py": "max_jobs = 2\n",
}

_T, _L, _C, _S = "task_a.py", "lab/__init__.py", "lab/core.py", "lab/shapes.py"
_M, _P = "lab/measures.py", "lab/plug.py"

COUNT = [
    # Functions
    (_T, "the argument of a decorator", "scaled(3)", "scaled(4)"),
    (_M, "the code of a decorator", "return by * function", "return by + function"),
    (_M, "`functools.wraps` in a decorator", "@functools.wraps(function)\n        ", ""),
    (_M, "the order of two decorators", "@scaled(2)\n@scaled(5)", "@scaled(5)\n@scaled(2)"),
    (_T, "`lru_cache`, taken away", "@functools.lru_cache(maxsize=8)\n", ""),
    (_T, "a keyword-only default", "key=3", "key=4"),
    (_T, "a positional-only mark", "x, /, y", "x, y"),
    (_T, "a free variable of a closure", "counter(10)", "counter(11)"),
    (_T, "a function within a function", "total += x", "total -= x"),
    (_T, "`nonlocal`", "        nonlocal total\n        total += x", "        return n + x"),
    (_T, "an argument of `functools.partial`", "factor=2", "factor=3"),
    (_M, "a function within a `partial`", "return x * factor", "return x + factor"),
    (_T, "a lambda in a dispatch table", "lambda x: 2 * x", "lambda x: x + 2"),
    (_T, "a key of a dispatch table", '"triple": lambda', '"treble": lambda'),
    (_T, "a case of a `match`", "case 0:", "case 1:"),
    (_T, "the guard of a case", "if n > 5", "if n > 6"),
    (_T, "a walrus", "(y := x + 1)", "(y := x + 2)"),
    (_T, "what an `except` catches", "except ZeroDivisionError", "except ValueError"),
    (_T, "a `finally`", "        x = None", "        return 3"),
    (_T, "a generator", "yield from range(n)", "yield from range(n + 1)"),
    (_T, "the general case of `singledispatch`", "return 0\n\n@weigh", "return 1\n\n@weigh"),
    (_T, "a case of `singledispatch`, by annotation", "return 5", "return 4"),
    (_T, "the annotation that chooses a case", "def _(x: int)", "def _(x: float)"),
    (_T, "a case of `singledispatch`, by argument", "return 6", "return 7"),
    (_T, "the last of several `overload`s", "def convert(x):\n    return x", "def convert(x): x"),
    # Classes
    (_S, "the code of a metaclass", "made.made = 11", "made.made = 12"),
    (_S, "a metaclass, taken away", "Base(metaclass=Meta)", "Base"),
    (_S, "an attribute of a base", "factor = 2", "factor = 3"),
    (_S, "`__getattr__` of a base", "return 9", "return 8"),
    (_S, "a property", "self.factor * self.r", "self.factor + self.r"),
    (_S, "a property that becomes a method", "    @property\n    def name", "    def name"),
    (_S, "the code of a descriptor", "owner.r ** 2", "owner.r ** 3"),
    (_S, "which descriptor an attribute is", "size = Squared()", "size = 5"),
    (
        _S,
        "a static method that nobody calls",
        "        return x\n    @prop",
        "        x\n    @prop",
    ),
    (_S, "a member of an Enum", "FAST = 1", "FAST = 3"),
    (_S, "another member of an Enum", "SLOW = 2", "SLOW = 4"),
    (_S, "a default of a dataclass field", "depth: int = 2", "depth: int = 3"),
    (_S, "the type of a dataclass field", "depth: int = 2", "depth: float = 2"),
    (_S, "a default factory", "lambda: [1]", "lambda: [2]"),
    (
        _S,
        "an argument of `dataclass`",
        "@dataclasses.dataclass",
        "@dataclasses.dataclass(eq=False)",
    ),
    (_S, "a new field", "depth: int = 2", "depth: int = 2\n    width: int = 1"),
    (_T, "a default of a named tuple's field", "y: int = 2", "y: int = 3"),
    # Modules
    (_C, "a function that a package hands on", "return x * rate", "return x / rate"),
    ("lab/numbers.py", "a constant imported under another name", "1.5", "2.5"),
    ("lab/numbers.py", "a constant of a relative import from two up", "OTHER = 2", "OTHER = 3"),
    (_C, "which name is imported `as` another", "RATE as rate", "OTHER as rate"),
    ("lab/late.py", "a module that is imported in a function", "x + 1", "x + 2"),
    (
        _L,
        "where a package takes a name from",
        "from .core import launch, total",
        "from .core import launch, idle as total",
    ),
    (_L, "`__getattr__` of a module", "return 7", "return 6"),
    ("lab/stars.py", "a function of a star import", "return hidden(x)", "return hidden(x), 1"),
    (
        "lab/stars.py",
        "a function that such a one calls",
        "def hidden(x):\n    return x",
        "def hidden(x):\n    return -x",
    ),
    (_P, "a function of a registry", "def one(x):\n    return x", "def one(x):\n    return -x"),
    (_P, "the name under which one is registered", '@register("two")', '@register("one")'),
    (_P, "the decorator that registers", "REGISTRY[name] = function", "REGISTRY[name] = abs"),
    (_S, "one that is registered from elsewhere", '@register("three")', '@register("one")'),
    ("lab/slow.py", "the module after `except ImportError`", "x - 1", "x - 2"),
    (_T, "the module before `except ImportError`", "surely_not_installed", "math"),
    (_T, "the branch of a conditional constant", "STEP = 1", "STEP = 3"),
    (_T, "its other branch", "    STEP = 2", "    STEP = 4"),
    ("lab/chosen.py", "a module of `import_module`", "x % 2", "x % 3"),
    (_T, "the name in `import_module`", '"lab.chosen"', '"lab.slow"'),
    (_M, "a function of `getattr` with its name", "return x + 3", "return x + 4"),
    (_T, "the name in `getattr`", '"shift"', '"tuned"'),
    ("lab/deep/inner.py", "a module in a package in a package", "return OTHER", "return -OTHER"),
    (
        "lab/deep/__init__.py",
        "what such a package imports",
        "from . import inner",
        "from . import inner\ninner.deepest = abs",
    ),
    # State
    (_T, "`sort` at the top", "ORDER.sort()", "ORDER.sort(reverse=True)"),
    (_T, "`update` of a dict at the top", "high=20", "high=30"),
    (_T, "`+=` on a variable of the module", "TOTAL += 1", "TOTAL += 2"),
    (_T, "`del` of what is used", "del SPARE", "del SPARE, TOTAL"),
    (_T, "a call that changes the state of a module", "measures.tune(4)", "measures.tune(5)"),
    (_M, "what that call does", '_state["tuned"] = n', '_state["tuned"] = -n'),
    (_T, "a module that is patched", "measures.OFFSET = 1", "measures.OFFSET = 2"),
    (_M, "a patch in the module itself", "def shift", "times = max\n\ndef shift"),
    (_T, "the default of a context variable", "default=3", "default=4"),
    (_M, "what a context manager yields", "yield 4", "yield 5"),
    (_T, "a `with` at the top", "NOTHING = null.read()", "NOTHING = 'a'"),
    (_T, "what a name is unpacked from", "(1, 2)", "(2, 1)"),
    (_T, "a text joined of two", '"a" "b"', '"a" "c"'),
    (_T, "`setattr` at the top", "SPARE = 5\n", "SPARE = 5\nsetattr(Circle, 'factor', 5)\n"),
    (_T, "an attribute set on an imported class", "SPARE = 5\n", "SPARE = 5\nCircle.factor = 5\n"),
    (
        _T,
        "a method put in place of another",
        "SPARE = 5\n",
        "SPARE = 5\nmeasures.shift = lambda x: x\n",
    ),
    (_T, "`exec` at the top", "SPARE = 5\n", "SPARE = 5\nexec('TOTAL = 9')\n"),
    (_T, "`eval` with a walrus", "SPARE = 5\n", "SPARE = 5\nTOTAL = eval('9')\n"),
    (
        _T,
        "a function called at the top that sets a global",
        "SPARE = 5\n",
        "SPARE = 5\ndef reset():\n    global TOTAL\n    TOTAL = 0\nreset()\n",
    ),
    (
        _T,
        "a loop that fills a dict",
        "SPARE = 5\n",
        "SPARE = 5\nfor key in LIMITS:\n    LIMITS[key] = 1\n",
    ),
    (
        _T,
        "a module put into `sys.modules`",
        "import os\n",
        "import os\nimport sys\nsys.modules['lab.slow'] = os\n",
    ),
    (_T, "another name for a function", "def walrus", "cached = abs\n\ndef walrus"),
    (_L, "a constant of a package with `__getattr__`", 'VERSION = "1"', 'VERSION = "2"'),
    (
        _T,
        "`pass` in a function",
        "def convert(x):\n    return x",
        "def convert(x): pass; return x",
    ),
]
DO_NOT = [
    (
        _C,
        "a function that a package does not hand on",
        "def idle(x):\n    return x",
        "def idle(x): x",
    ),
    ("lab/hints.py", "a module imported under `TYPE_CHECKING`", "list", "tuple"),
    (_T, "an import under `TYPE_CHECKING`", "import Vector", "import Vector as Vectors"),
    ("lab/numbers.py", "a new constant of a module", "OTHER = 2", "OTHER = 2\nTHIRD = 3"),
    (_T, "a Protocol", "def area(self) -> float", "def area(self) -> int"),
    (_T, "a TypedDict", "name: str", "name: bytes"),
    (_T, "a type alias", "tuple[int, int]", "tuple[float, float]"),
    (
        _T,
        "a function that `yield`s and nobody calls",
        "async def waited(x):\n    return x",
        "async def waited(x): yield x",
    ),
    (_T, "a lock that nobody uses", "threading.Lock()", "threading.RLock()"),
    ("lab/numbers.py", "`15e-1` for `1.5`", "1.5", "15e-1"),
    (_T, "a text written in two pieces", '"a" "b"', '"ab"'),
    (_T, "a raw text without a backslash", '"a" "b"', 'r"a" "b"'),
    (_T, "`0xA` for `10`", '"high": 10', '"high": 0xA'),
    (_T, "a trailing comma", '["b", "a"]', '["b", "a",]'),
    (_T, "a semicolon", "TOTAL = 1\n", "TOTAL = 1;\n"),
    (_T, "a backslash at the end of a line", "TOTAL = 1\n", "TOTAL = \\\n    1\n"),
    (_T, "`elif` for `else: if`", "else:\n    STEP = 2", "else:\n    # not here\n    STEP = 2"),
    (
        _T,
        "an import split in two",
        "from lab.shapes import Circle, Mode, Options",
        "from lab.shapes import Circle, Mode\nfrom lab.shapes import Options",
    ),
    (
        _T,
        "the order of imports",
        "import functools\nimport importlib\n",
        "import importlib\nimport functools\n",
    ),
    (
        _T,
        "`from __future__ import annotations`",
        "import contextvars\n",
        "from __future__ import annotations\nimport contextvars\n",
    ),
    (_T, "tabs for blanks", "    return x + y + key", "\treturn x + y + key"),
    (
        _T,
        "an encoding comment",
        "import contextvars\n",
        "# -*- coding: utf-8 -*-\nimport contextvars\n",
    ),
    (
        _M,
        "the order of functions of a module",
        'def tuned():\n    return _state["tuned"]\n\ndef shift(x):\n    return x + 3\n',
        'def shift(x):\n    return x + 3\n\ndef tuned():\n    return _state["tuned"]\n',
    ),
    ("psy-conf.py", "a setting in `psy-conf.py`", "max_jobs = 2", "max_jobs = 3"),
    (_T, "`store`", "SPARE = 5\n", "SPARE = 5\nstore = '.npz'\n"),
    (_T, "`scheduler`", "SPARE = 5\n", "SPARE = 5\nscheduler = 'slurm'\n"),
    (_T, "`timeout` and `retries`", "SPARE = 5\n", "SPARE = 5\ntimeout = 5; retries = 2\n"),
    (_T, "`assert` of a type", "SPARE = 5\n", "SPARE = 5\nassert isinstance(TOTAL, int)\n"),
    (_T, "`pspace` of values of a module", "SPARE = 5\n", "SPARE = 5\npspace = {'x': [TOTAL]}\n"),
    (_T, "a new class", "class Shaped", "class New:\n    pass\n\nclass Shaped"),
    (
        _T,
        "`if TYPE_CHECKING:`, new",
        "SPARE = 5\n",
        "SPARE = 5\nif TYPE_CHECKING:\n    import json\n",
    ),
]

_TWO = {"one.py": "def f():\n    return 1\n", "two.py": "def f():\n    return 2\n"}
_HIDES = {**_TWO, "two.py": "__all__ = ['f']\ndef f():\n    return 2\n"}
_STATE = {
    "state.py": """\
S = {"n": 0}
def tune(n):
    S["n"] = n
    return n
def get():
    return S["n"]
def look(n):
    return n + 1
class K:
    n = 0
    @classmethod
    def set(cls, n):
        cls.n = n
OBJ = K()
"""
}
_SETTER = "N = 0\ndef put(n):\n    global N\n    N = n\n    return n\n"

# A study of its own each: what, the statements before, those after, what `execute` returns, other
# files.
PAIRS_THAT_COUNT = [
    (
        "the order of two star imports",
        "from one import *\nfrom two import *",
        "from two import *\nfrom one import *",
        "f()",
        _TWO,
    ),
    (
        "the order of two imports of one name",
        "from one import f\nfrom two import f",
        "from two import f\nfrom one import f",
        "f()",
        _TWO,
    ),
    (
        "the order of an import and a function of one name",
        "from one import f\ndef f(): return 3",
        "def f(): return 3\nfrom one import f",
        "f()",
        _TWO,
    ),
    (
        "the order of an import and a star import",
        "from one import f\nfrom two import *",
        "from two import *\nfrom one import f",
        "f()",
        _TWO,
    ),
    (
        "a constant read before and after it changes",
        "N = 1\nX = N\nN += 1",
        "N = 1\nN += 1\nX = N",
        "(X, N)",
        {},
    ),
    (
        "a default made before and after it changes",
        "N = 1\ndef f(n=N): return n\nN = 2",
        "N = 1\nN = 2\ndef f(n=N): return n",
        "(f(), N)",
        {},
    ),
    (
        "a function called before and after that",
        "N = 1\ndef g(): return N\nX = g()\nN = 2",
        "N = 1\ndef g(): return N\nN = 2\nX = g()",
        "(X, N)",
        {},
    ),
    (
        "a list copied before and after `append`",
        "D = [1]\nX = tuple(D)\nD.append(2)",
        "D = [1]\nD.append(2)\nX = tuple(D)",
        "(X, D)",
        {},
    ),
    (
        "a draw before and after `random.seed`",
        "import random\nrandom.seed(3)\nX = random.random()\nrandom.seed(1)",
        "import random\nrandom.seed(3)\nrandom.seed(1)\nX = random.random()",
        "X",
        {},
    ),
    (
        "an environment variable read before and after it is set",
        "import os\nX = os.environ.get('PSY_X')\nos.environ['PSY_X'] = '1'",
        "import os\nos.environ['PSY_X'] = '1'\nX = os.environ.get('PSY_X')",
        "X",
        {},
    ),
    (
        "a call before and after one that changes a module",
        "import state\nX = state.get()\nstate.tune(4)",
        "import state\nstate.tune(4)\nX = state.get()",
        "X",
        _STATE,
    ),
    (
        "a call that changes a module, its value assigned",
        "import state\nok = state.tune(4)",
        "import state\nok = state.tune(5)",
        "state.get()",
        _STATE,
    ),
    (
        "such a call, new",
        "from state import get, tune",
        "from state import get, tune\nok = tune(5)",
        "get()",
        _STATE,
    ),
    ("such a call in an `if`", f"{_SETTER}if put(1): pass", f"{_SETTER}if put(2): pass", "N", {}),
    (
        "a class method that changes its class",
        "from state import K\nok = K.set(4)",
        "from state import K\nok = K.set(5)",
        "K.n",
        _STATE,
    ),
    (
        "a method of an imported object",
        "from state import OBJ\nok = OBJ.set(4)",
        "from state import OBJ\nok = OBJ.set(5)",
        "OBJ.n",
        _STATE,
    ),
    (
        "`setattr`, its value assigned",
        "class K: n = 1\nok = setattr(K, 'n', 2)",
        "class K: n = 1\nok = setattr(K, 'n', 3)",
        "K.n",
        {},
    ),
    (
        "a function that sets a global, its value assigned",
        f"{_SETTER}ok = put(1)",
        f"{_SETTER}ok = put(2)",
        "N",
        {},
    ),
    (
        "`random.seed`, its value assigned",
        "import random\nok = random.seed(1)",
        "import random\nok = random.seed(2)",
        "random.random()",
        {},
    ),
    (
        "a setting of a library, its old value assigned",
        "import decimal\nc = decimal.getcontext()\nc.prec = 5",
        "import decimal\nc = decimal.getcontext()\nc.prec = 6",
        "str(decimal.Decimal(1) / 3)",
        {},
    ),
    (
        "a context variable that is set",
        "import contextvars\nC = contextvars.ContextVar('C')\nt = C.set(2)",
        "import contextvars\nC = contextvars.ContextVar('C')\nt = C.set(3)",
        "C.get()",
        {},
    ),
    (
        "an item set through another name",
        "D = [1]\nB = D\nB[0] = 2",
        "D = [1]\nB = D\nB[0] = 3",
        "D",
        {},
    ),
    (
        "a method called through another name",
        "D = [1]\nB = D\nok = B.append(2)",
        "D = [1]\nB = D\nok = B.append(3)",
        "D",
        {},
    ),
    (
        "an attribute set through another name",
        "class C: n = 1\nc = C()\nd = c\nd.n = 2",
        "class C: n = 1\nc = C()\nd = c\nd.n = 3",
        "c.n",
        {},
    ),
    (
        "a list that another one holds",
        "A = [1]\nD = {'a': A}\nA.append(2)",
        "A = [1]\nD = {'a': A}\nA.append(3)",
        "D",
        {},
    ),
    (
        "a loop over objects",
        "A = [1]\nfor z in [A]: z.append(2)",
        "A = [1]\nfor z in [A]: z.append(3)",
        "A",
        {},
    ),
    (
        "`pop` in the body of a class",
        "D = [1, 2]\nclass C:\n    n = D.pop()",
        "D = [1, 2]\nclass C:\n    n = D.pop(0)",
        "D",
        {},
    ),
    (
        "`pop` in a default",
        "D = [1, 2]\ndef u(n=D.pop()): pass",
        "D = [1, 2]\ndef u(n=D.pop(0)): pass",
        "D",
        {},
    ),
    (
        "`pop` in a decorator",
        "import functools\nD = [1, 2]\n@functools.lru_cache(D.pop())\ndef u(): pass",
        "import functools\nD = [1, 2]\n@functools.lru_cache(D.pop(0))\ndef u(): pass",
        "D",
        {},
    ),
    ("an attribute of a function", "def f(): pass\nf.n = 1", "def f(): pass\nf.n = 2", "f.n", {}),
    (
        "a module imported for what it changes",
        "import state",
        "import state\nimport patch",
        "state.get()",
        {**_STATE, "patch.py": "import state\nstate.get = lambda: 7\n"},
    ),
    (
        "a case of `singledispatch` from elsewhere",
        "from weigh import weigh",
        "from weigh import weigh\nimport cases",
        "weigh(1)",
        {
            "weigh.py": "import functools\n@functools.singledispatch\ndef weigh(x): return 0\n",
            "cases.py": "from weigh import weigh\n@weigh.register\ndef _(x: int): return 5\n",
        },
    ),
    (
        "a logarithm called `log`",
        "import math\nlog = math.log",
        "import math\nlog = math.log2",
        "log(8)",
        {},
    ),
    (
        "what is given to a `log` that is no logger",
        "class R:\n    n = 0\n    def info(self, n): self.n = n\nlog = R()\ndef f(): log.info(1)",
        "class R:\n    n = 0\n    def info(self, n): self.n = n\nlog = R()\ndef f(): log.info(2)",
        "(f(), log.n)",
        {},
    ),
    (
        "what is given to a `print` of one's own",
        "L = []\ndef print(n): L.append(n)\ndef f(): print(1)",
        "L = []\ndef print(n): L.append(n)\ndef f(): print(2)",
        "(f(), L)",
        {},
    ),
    (
        "a function defined twice, in another order",
        "def f(): return 1\ndef f(): return 2",
        "def f(): return 2\ndef f(): return 1",
        "f()",
        {},
    ),
]
PAIRS_THAT_DO_NOT = [
    ("the order of constants", "A = 1\nB = 2", "B = 2\nA = 1", "A + B", {}),
    (
        "the order of constants between two changes",
        "N = 1\nA = N\nB = N\nN = 2",
        "N = 1\nB = N\nA = N\nN = 2",
        "A + B + N",
        {},
    ),
    (
        "a function moved above `random.seed`",
        "import random\nrandom.seed(1)\ndef f(): return 1",
        "import random\ndef f(): return 1\nrandom.seed(1)",
        "f()",
        {},
    ),
    (
        "a constant moved above `random.seed`",
        "import random\nrandom.seed(1)\nN = 2",
        "import random\nN = 2\nrandom.seed(1)",
        "N",
        {},
    ),
    (
        "the order of star imports without a common name",
        "from one import *\nfrom state import *",
        "from state import *\nfrom one import *",
        "f()",
        {**_TWO, **_STATE},
    ),
    (
        "the order of calls that only look",
        "from state import look\nA = look(1)\nB = look(2)",
        "from state import look\nB = look(2)\nA = look(1)",
        "A + B",
        _STATE,
    ),
    (
        "an unused call that only looks",
        "import state",
        "import state\nok = state.look(3)",
        "1",
        _STATE,
    ),
    (
        "a class method of a class that nobody uses",
        "from state import K",
        "from state import K\nok = K()",
        "1",
        _STATE,
    ),
    (
        "the name of a logger",
        "import logging\nlog = logging.getLogger('a')",
        "import logging\nlog = logging.getLogger('b')",
        "1",
        {},
    ),
    (
        "a new function of one that makes functions",
        "import maker",
        "import maker\nspare = maker.make(2)",
        "1",
        {
            "maker.py": "KEPT = {}\ndef make(k):\n    def inner(x):\n        KEPT[x] = k\n"
            "    return inner\n"
        },
    ),
]
# No code tells that they are read. `psy why -v` names the place.
NOT_SEEN = [
    (
        "a docstring that is read as `__doc__`",
        "def f():\n    'a'",
        "def f():\n    'b'",
        "f.__doc__",
        {},
    ),
    (
        "type hints that are read by `get_type_hints`",
        "import typing\ndef f(a: int): pass",
        "import typing\ndef f(a: str): pass",
        "str(typing.get_type_hints(f))",
        {},
    ),
]
