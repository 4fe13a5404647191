"""The user's own code counts wherever a project keeps it: ten layouts of real projects."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE
from tests.support.study import Study

TASK = """
from lab.model import f
pspace = Param(x=range(3))
def execute(x):
    note(x=x)
    gate = Path(__file__).parent.parent / "gate"
    if x == 0 and gate.exists():
        gate.open().read()  # a FIFO: waits for the test
    return {"y": f(x)}
"""
MODEL = """
    from lab.numbers import SCALE
    def f(x):
        import lab.late
        return SCALE * x + lab.late.OFFSET
    def unused(x):
        return x
"""
EXTENSION = """
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "numbers", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_numbers(void) {
    PyObject *module = PyModule_Create(&def);
    PyModule_AddIntConstant(module, "SCALE", SCALE);
    return module;
}
"""
FINDER = """
import sys
from importlib.util import spec_from_file_location
MAPPING = {mapping!r}
class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname in MAPPING:
            return spec_from_file_location(fullname, MAPPING[fullname] + "/__init__.py")
def install():
    sys.meta_path.append(_EditableFinder)
"""


@pytest.fixture
def study(study: Study) -> Study:
    # What a program can import depends on how it is started.
    study.is_apart = True
    return study


def write(folder: Path, is_namespace: bool = False) -> Path:
    """Write the package `lab`, in which the tests' model is, and return its folder."""
    lab = folder / "lab"
    lab.mkdir(parents=True)
    if not is_namespace:
        (lab / "__init__.py").write_text("")
    (lab / "model.py").write_text(textwrap.dedent(MODEL))
    (lab / "numbers.py").write_text("SCALE = 2\n")
    (lab / "late.py").write_text("OFFSET = 0\n")
    (lab / "other.py").write_text("A = 1\n")
    return lab


def with_line(study: Study, line: str) -> None:
    study.task(f"import sys\n{line}\n{TASK}")


def environment(study: Study) -> Path:
    """Make a virtual environment inside the study, and return its site-packages."""
    folder = study.folder / "env"
    venv.create(folder, symlinks=True, with_pip=False)
    study.python = str(folder / "bin" / "python")
    names = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", names))
    link_others(packages)
    return packages


def link_others(packages: Path) -> None:
    """Have what this Python has, psyflow too, in another one."""
    others = [entry for entry in sys.path if entry and "site-packages" in entry]
    others.append(str(Path(__file__).parents[2]))
    (packages / "others.pth").write_text("\n".join(others))


def conda(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a whole Python inside the study, as conda does, and return its site-packages."""
    prefix, real = study.folder / "env", Path(sysconfig.get_path("stdlib"))
    library = prefix / "lib" / real.name
    (library / "site-packages").mkdir(parents=True)
    (prefix / "conda-meta").mkdir()
    for entry in real.iterdir():
        if entry.name != "site-packages":
            (library / entry.name).symlink_to(entry)
    link_others(library / "site-packages")
    monkeypatch.setenv("PYTHONHOME", str(prefix))
    study.python = sys._base_executable
    return library / "site-packages"


def src(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(study.folder / "src"))
    study.task(TASK)
    return write(study.folder / "src")


def flat(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    study.task(TASK)
    # Only this puts the folder on sys.path.
    as_module = lambda *words: [study.python, "-m", "psyflow", *words]  # noqa: E731
    monkeypatch.setattr(study, "command", as_module)
    return write(study.folder)


def editable_hook(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = environment(study)
    lab = write(study.folder / "src")
    finder = FINDER.format(mapping={"lab": str(lab)})
    (packages / "__editable___lab_1_finder.py").write_text(finder)
    text = "import __editable___lab_1_finder; __editable___lab_1_finder.install()\n"
    (packages / "__editable__.lab-1.pth").write_text(text)
    study.task(TASK)
    return lab


def editable_link(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = environment(study)
    lab = write(study.folder / "src")
    (packages / "lab").symlink_to(lab)
    study.task(TASK)
    return lab


def pth(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = environment(study)
    (packages / "lab.pth").write_text(str(study.folder / "python"))
    study.task(TASK)
    return write(study.folder / "python")


def namespace(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    other = study.folder / "other"
    (other / "lab").mkdir(parents=True)
    (other / "lab" / "elsewhere.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{other}{os.pathsep}{study.folder / 'src'}")
    study.task(TASK)
    return write(study.folder / "src", is_namespace=True)


def notebooks(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    (study.folder / "code").mkdir()
    (study.folder / "code" / "look.ipynb").write_text("{}")
    with_line(study, "sys.path.append('../code')")
    return write(study.folder / "code")


def submodule(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    (study.folder / ".git").mkdir()
    extern = study.folder / "extern" / "lab"
    lab = write(extern)
    (extern / ".git").write_text("gitdir: ../../.git/modules/lab")
    with_line(study, "sys.path.insert(0, str(Path(__file__).parent.parent / 'extern' / 'lab'))")
    return lab


def git_root(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study is a folder deep inside the repository with the package."""
    root = study.folder
    (root / ".git").mkdir()
    study.folder = root / "studies" / "first"
    study.folder.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(root))
    study.task(TASK)
    return write(root)


def below_tasks(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package is in a folder of the task folder, which `psy-conf.py` knows, too."""
    lab = write(study.tasks / "lib-of-mine")
    with_line(study, "sys.path.insert(0, 'lib-of-mine')")
    return lab


Layout = Callable[[Study, pytest.MonkeyPatch], Path]
LAYOUTS: list[Layout] = [
    src,
    flat,
    editable_hook,
    editable_link,
    pth,
    namespace,
    notebooks,
    submodule,
    git_root,
    below_tasks,
]


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def lab(request: pytest.FixtureRequest, study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay a study out, and return the folder of the package that its `execute` uses."""
    layout: Layout = request.param
    return layout(study, monkeypatch)


def compiled(lab: Path, scale: int) -> None:
    """Make `lab.numbers` an extension module."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (lab / "numbers.py").unlink(missing_ok=True)
    source = lab / "numbers.c"
    source.write_text(EXTENSION)
    target = lab / f"numbers{sysconfig.get_config_var('EXT_SUFFIX')}"
    new = target.with_suffix(".new")
    include = sysconfig.get_path("include")
    options = ["-shared", "-fPIC", f"-DSCALE={scale}", f"-I{include}", "-o", str(new)]
    subprocess.run([compiler, *options, str(source)], check=True)
    new.replace(target)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def is_up_to_date(study: Study) -> bool:
    """Run the task, and tell whether that evaluated nothing."""
    study.psy("run")
    return study.calls() == []


def test_what_execute_reaches_counts_and_nothing_else_does(study: Study, lab: Path) -> None:
    study.psy("run")
    assert study.rows() == [(0, 0), (1, 2), (2, 4)]
    assert len(study.calls()) == 3
    replace(lab / "model.py", "def unused(x):\n    return x", "def unused(x):\n    return 7")
    replace(lab / "model.py", "def f(x):", "def f(x):  # the model")
    (lab / "added.py").write_text("B = 1\n")
    (lab / "other.py").write_text("A = 2\n")
    assert is_up_to_date(study)
    replace(lab / "numbers.py", "SCALE = 2", "SCALE = 3")
    why = study.psy("why").stdout
    assert "lab.numbers.SCALE changed" in why and "SCALE = 3" in why
    study.psy("run")
    assert study.rows() == [(0, 0), (1, 3), (2, 6)]
    assert len(study.calls()) == 3
    replace(lab / "late.py", "OFFSET = 0", "OFFSET = 10")
    study.psy("run")
    assert study.rows() == [(0, 10), (1, 13), (2, 16)]


@contextmanager
def begun(study: Study) -> Iterator[None]:
    """Edit while the first job is at work, and the others have still to import the model."""
    gate = study.folder / "gate"
    os.mkfifo(gate)
    process = study.start("run", "-j", "1")
    study.wait_for_calls(1)
    yield
    gate.write_text("go")
    assert process.wait(PATIENCE) == 0
    gate.unlink()


def test_jobs_have_the_code_of_when_they_were_begun(study: Study, lab: Path) -> None:
    with begun(study):
        replace(lab / "late.py", "OFFSET = 0", "OFFSET = 10")
        replace(lab / "model.py", "SCALE * x", "SCALE * x + 100")
    assert study.rows() == [(0, 0), (1, 2), (2, 4)]
    assert "lab.late.OFFSET changed" in study.psy("why").stdout


PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "lab"
version = "1"
"""


@pytest.mark.parametrize(
    ("setting", "is_finder"),
    [
        ("[tool.setuptools.packages.find]\nwhere = ['src']", False),
        ("[tool.setuptools]\npackages = ['lab']\npackage-dir = {lab = 'src/lab'}", True),
    ],
    ids=["pth", "finder"],
)
def test_a_package_installed_by_pip_as_editable_is_own(
    study: Study, setting: str, is_finder: bool
) -> None:
    # Older ones need `wheel`. To import it here would change this process's distutils.
    if [int(part) for part in importlib.metadata.version("setuptools").split(".")[:2]] < [70, 1]:
        pytest.skip("setuptools is older than 70.1: pip install -e '.[dev]'")
    packages = environment(study)
    project = study.folder / "project"
    lab = write(project / "src")
    (project / "pyproject.toml").write_text(PROJECT + setting)
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    pip = [study.python, "-m", "pip", "install", *offline, "-e", str(project)]
    subprocess.run(pip, check=True, cwd=study.folder)
    assert any(packages.glob("__editable__*finder.py")) == is_finder
    study.task(TASK)
    with begun(study):
        replace(lab / "late.py", "OFFSET = 0", "OFFSET = 10")
    assert study.rows() == [(0, 0), (1, 2), (2, 4)]
    why = study.psy("why", "-v").stdout
    assert "lab.late.OFFSET changed" in why
    assert f"Watched: {os.path.relpath(lab / 'late.py', study.tasks)}: " in why
    study.psy("run")
    assert study.rows() == [(0, 10), (1, 12), (2, 14)]


def venv_inside(study: Study, monkeypatch: pytest.MonkeyPatch) -> Path:
    return environment(study)


@pytest.mark.parametrize("layout", [venv_inside, conda])
def test_packages_of_an_environment_inside_the_study_are_not_own(
    study: Study, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    lab = write(layout(study, monkeypatch))
    (study.tasks / "mine.py").write_text("from lab.model import f\n")
    study.task(TASK.replace("lab.model", "mine"))
    prefix = study.folder / "env"
    command = "import sys; print(sys.prefix)"
    ran = subprocess.run([study.python, "-c", command], capture_output=True, text=True)
    assert ran.stdout.strip() == str(prefix)
    study.psy("run")
    study.calls()
    replace(lab / "numbers.py", "SCALE = 2", "SCALE = 3")
    assert is_up_to_date(study)
    watched = study.psy("why", "-v").stdout
    assert "Watched: mine.py: " in watched and "env" not in watched
    (copy,) = study.folder.glob("psy-work/t/plans/*/code")
    copied = {path.name for path in copy.rglob("*.py")}
    assert copied == {"task_t.py", "mine.py"}


def test_an_own_compiled_module_counts_with_its_content_and_is_frozen(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = src(study, monkeypatch)
    # A module is imported by the job, after the compiled one has been replaced.
    study.task(
        TASK.replace(
            "from lab.model import f", "def f(x): import lab.numbers as n; return x * n.SCALE"
        )
    )
    compiled(lab, 2)
    with begun(study):
        compiled(lab, 5)
    assert study.rows() == [(0, 0), (1, 2), (2, 4)]
    assert "lab.numbers: the content changed" in study.psy("why").stdout
    study.psy("run")
    assert study.rows() == [(0, 0), (1, 5), (2, 10)]


def test_the_same_code_in_a_moved_study_is_up_to_date(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_line(study, "sys.path.append('../src')")
    write(study.folder / "src")
    study.psy("run")
    moved = study.folder.with_name("moved")
    study.folder.rename(moved)
    study.folder = moved
    study.calls()
    assert is_up_to_date(study)
    replace(moved / "src" / "lab" / "numbers.py", "SCALE = 2", "SCALE = 3")
    study.psy("run")
    assert study.rows() == [(0, 0), (1, 3), (2, 6)]


def test_an_installed_distribution_is_not_own_wherever_it_was_installed(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = src(study, monkeypatch)
    info = lab.parent / "lab-1.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("lab/__init__.py,,\nlab/model.py,,\n")
    study.psy("run")
    study.calls()
    replace(lab / "numbers.py", "SCALE = 2", "SCALE = 3")
    assert is_up_to_date(study)


def test_modules_named_at_run_time_are_all_those_of_their_package(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = src(study, monkeypatch)
    call = "__import__('importlib').import_module(f'lab.{NAME}').A + x"
    study.task(TASK.replace("from lab.model import f", f"NAME = 'other'\ndef f(x): return {call}"))
    study.psy("run")
    replace(lab / "other.py", "A = 1", "A = 5")
    study.psy("run")
    assert study.rows() == [(0, 5), (1, 6), (2, 7)]
