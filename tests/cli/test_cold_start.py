"""What `psy` imports as a program: modules are counted, for times differ from hour to hour."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.place import SQUARE

SELDOM = ("numpy.ma", "psyflow.command.command", "psyflow.record.nearmisses")
NAMES = ("numpy", "doit", "tables", "rich", "email.parser", "psyflow.work.supervisor", *SELDOM)
# What comes late is a module of its own kind until it is there.
LOADED = "[n for n in {} if n in sys.modules and type(sys.modules[n]).__name__ != '_Late']"


def after(code: str, *, at_exit: str, folder) -> str:
    """Return what `at_exit` evaluates to after `code` in a new interpreter."""
    told = f"os.getpid() == psy and print({at_exit}, file=sys.stderr)"
    begin = "import atexit, os, sys; psy = os.getpid(); "
    program = f"{begin}atexit.register(lambda: {told}); {code}"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr.splitlines()[-1]


def imported(folder, *words: str) -> set[str]:
    """Return which of NAMES `psy`, as a program, has imported at its end."""
    code = f"sys.argv = ['psy', *{words}]; from psyflow.main import main; main()"
    return set(eval(after(code, at_exit=LOADED.format(NAMES), folder=folder)))


SPACES = {
    "range": "Param(x=range(4))",
    "lists": "Param(x=[0, 1, 2, 3]) * Param(mode=['a', 'b'])",
    "values": "Param(x=(1, 2), k=3, mode='fast')",
}


@pytest.mark.parametrize("store", ["PickleStore", "NpzStore", "H5Store"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_psy_run_with_nothing_to_do_imports_nothing_heavy(store, space, place):
    source = SQUARE.replace("import Param", f"import Param, {store}")
    source = source.replace("Param(x=range(4))", f"{space}\nstore = {store}()")
    place.task("square", source.replace("execute(x)", "execute(x, **more)"))
    assert place.psy("run").returncode == 0
    assert imported(place.folder, "run") == set()


def test_a_first_run_imports_nothing_that_few_runs_need(place):
    # NumPy imports masked arrays for `unique` and what is built on it.
    place.task("square", SQUARE)
    assert imported(place.folder, "run").isdisjoint(SELDOM)


def test_a_task_file_that_uses_numpy_gets_it(place):
    source = "import numpy as np\n" + SQUARE.replace("range(4)", "np.linspace(0, 1, 4)")
    place.task("square", source)
    assert "numpy" in imported(place.folder, "run")
    table = place.psy("show", "square").stdout
    assert "0.333" in table


def test_a_module_of_the_study_does_not_get_into_numpys_way(place):
    place.task("square", "import numpy as np\n" + SQUARE.replace("range(4)", "np.arange(4)"))
    (place.tasks / "secrets.py").write_text("raise SystemExit('this is not for NumPy')")
    assert "numpy" in imported(place.folder, "run")


LATE = "from psyflow.cli.late import have_numpy_late; have_numpy_late(); import numpy as np; "


@pytest.mark.parametrize("first", ["import numpy.linalg", "from numpy.random import default_rng"])
def test_a_module_in_numpy_that_is_imported_first_is_there_once(first, tmp_path):
    code = LATE.replace("import numpy as np; ", "") + f"{first}; import numpy.linalg as linalg"
    shown = (
        "sys.modules['numpy'].linalg is linalg, hasattr(linalg, '_umath_linalg'), "
        "type(linalg.__spec__.loader).__name__"
    )
    assert after(code, at_exit=shown, folder=tmp_path) == "True True SourceFileLoader"


def test_numpy_comes_once_to_all_threads(tmp_path):
    code = (
        LATE + "import numpy.typing as npt; import threading; sums = []; "
        "threads = [threading.Thread(target=lambda: sums.append(int(np.arange(3).sum()))) "
        "for _ in range(8)]; [t.start() for t in threads]; [t.join() for t in threads]"
    )
    shown = "sums, np is sys.modules['numpy'], np.typing is npt, npt.NDArray is not None"
    assert after(code, at_exit=shown, folder=tmp_path) == f"{[3] * 8} True True True"


def test_numpy_that_is_there_stays(tmp_path):
    code = "import numpy; before = numpy; " + LATE
    assert after(code, at_exit="np is before, type(np).__name__", folder=tmp_path) == "True module"


@pytest.mark.parametrize("use", ["import numpy.linalg", "from numpy import pi", "np.random"])
def test_any_use_brings_numpy(use, tmp_path):
    assert after(LATE + use, at_exit="type(np).__name__", folder=tmp_path) == "module"
    assert after(LATE, at_exit="type(np).__name__", folder=tmp_path) == "_Late"
