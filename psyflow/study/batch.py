"""`prep_batch`: a folder for each pset, from templates, and scripts that submit their jobs.

::

    templates/
      calc/                  rendered into the folder of each pset
      machines/<machine>/
        jobscript            rendered to jobscript_<machine> there
        info.yaml            subcmd: what submits a jobscript
    calc/
      run_<machine>.sh       submits those of the last call
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from psyflow.command.files import JINJA, Template
from psyflow.exceptions import UsageError, did_you_mean
from psyflow.study.repository import Repository
from psyflow.study.running import as_params, run
from psyflow.system.files import make_folder, write_atomic

if TYPE_CHECKING:
    import pandas

__all__ = ["prep_batch"]

JOBSCRIPT = "jobscript"
GIVEN = frozenset(
    (
        "_run_id",
        "_pset_id",
        "_calc_dir",
        "_time_utc",
        "_pset_sha1",
        "_pset_seq",
        "_run_seq",
        "_exec_host",
    )
)
"""What templates may have beside the parameters."""
LABELS = frozenset(("study", "scan"))
"""Parameters that name a part of a study, by convention, and are for no job."""
_MODES = ("dollar", "jinja")
_HEAD = """\
#!/bin/sh
# Submits the jobs of the last prep_batch, wherever it is called from; those before are comments.
IFS='
'
here=$(cd -- "$(dirname -- "$0")" > /dev/null && pwd) || exit 1
cd $here
"""


def prep_batch(
    params: Iterable[Mapping[str, Any]],
    *,
    calc_templ_dir: str | os.PathLike[str] = "templates/calc",
    machine_templ_dir: str | os.PathLike[str] = "templates/machines",
    git: bool = False,
    write_pset: bool = False,
    template_mode: str = "dollar",
    **kwds: Any,
) -> pandas.DataFrame:
    """Prepare a job for each pset: its folder, from templates, and scripts that submit all.

    Nothing is submitted. Each file below `calc_templ_dir` is rendered into
    ``<calc_dir>/<_pset_id>/``, and the ``jobscript`` of each machine to ``jobscript_<machine>``
    there. ``<calc_dir>/run_<machine>.sh`` submits them, wherever it is called from; the jobs of
    earlier calls are comments in it.

    Parameters
    ----------
    params : iterable of dicts
        The psets. In templates, ``$name`` or ``${name}`` is a value of theirs, or of
        ``_pset_id`` and the like; a dollar sign is ``$$``. Files that end in ``.j2`` are Jinja's.
    calc_templ_dir, machine_templ_dir : path
        Folders of templates.
    git : bool
        As for `run`.
    write_pset : bool
        Whether ``pset.pk`` in the folder has the pset itself, pickled.
    template_mode : str
        ``"jinja"`` if all templates are Jinja's.
    **kwds
        As for `run`: ``calc_dir``, ``backup``, ``skip_dups``, ``simulate`` and others.

    Returns
    -------
    DataFrame
        The database, with a row for each job.

    Raises
    ------
    UsageError
        Before anything is written: if a template has a name that psets have not, or a parameter is
        in no template. Names with an underscore at an end, and ``study`` and ``scan``, are labels.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from psyflow.study import plist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     machine = Path(folder, "machines", "local")
    ...     machine.mkdir(parents=True)
    ...     _ = (machine / "jobscript").write_text("echo $a > out.txt")
    ...     _ = (machine / "info.yaml").write_text("subcmd: sh")
    ...     df = prep_batch(
    ...         plist("a", [1, 2]),
    ...         calc_dir=f"{folder}/calc",
    ...         calc_templ_dir=f"{folder}/calc_templates",
    ...         machine_templ_dir=f"{folder}/machines",
    ...     )
    ...     print((Path(folder, "calc", df._pset_id[1], "jobscript_local")).read_text())
    echo 2 > out.txt
    """
    for name in ("poolsize", "dask_client"):
        if kwds.get(name) is not None:
            raise UsageError(f"prep_batch only writes files: leave {name} out.")
    psets = as_params(params)
    machines = _machines(Path(machine_templ_dir), template_mode)
    batch = _Batch(
        [*_templates(Path(calc_templ_dir), template_mode), *(m.jobscript for m in machines)],
        write_pset,
    )
    batch.check(psets)
    repository = Repository.here() if git else None
    frame = run(batch.prepare, psets, **kwds)
    if batch.prepared:
        folder = Path(batch.prepared[0]["_calc_dir"])
        for machine in machines:
            machine.write_script(folder, batch.prepared)
        if repository is not None:
            repository.commit(batch.prepared[0]["_run_id"], [folder])
    return frame


class _Batch:
    """The templates, and the psets that they were rendered for.

    Parameters
    ----------
    templates : sequence of Template
    write_pset : bool
    """

    def __init__(self, templates: Sequence[Template], write_pset: bool) -> None:
        self._templates = templates
        self._write_pset = write_pset
        self.prepared: list[Mapping[str, Any]] = []

    def check(self, psets: Sequence[Mapping[str, Any]]) -> None:
        """Raise UsageError if templates and psets do not fit together."""
        targets: dict[str, Template] = {}
        for template in self._templates:
            other = targets.setdefault(template.target, template)
            if other is not template:
                raise UsageError(f"{other.path} and {template.path} become the same file.")
        # Psets may have different names; there are few kinds of them.
        for names in dict.fromkeys(frozenset(pset) for pset in psets):
            for template in self._templates:
                known = names | GIVEN
                if trouble := template.trouble(known, may_be_more=False, may_be_plain=True):
                    raise UsageError(trouble)
        self._check_used({name for pset in psets for name in pset})

    def _check_used(self, names: set[str]) -> None:
        used = {name for template in self._templates for name in template.names}
        unused = sorted(n for n in names - used - LABELS if n[:1] != "_" and n[-1:] != "_")
        if not unused or self._write_pset:
            return
        raise UsageError(
            f"The parameter `{unused[0]}` is in no template, so no job would know of it."
            f"{did_you_mean(unused[0], used - names)} Write ${unused[0]} in one, or {{{{ "
            f'{unused[0]} }}}} in a file that ends in {JINJA} or with template_mode="jinja". If '
            f"it is a label for you alone, call it `{unused[0]}_`."
        )

    def prepare(self, pset: Mapping[str, Any]) -> dict[str, Any]:
        """Make the folder of one pset."""
        folder = make_folder(Path(pset["_calc_dir"]) / pset["_pset_id"])
        for template in self._templates:
            template.put(folder, pset)
        if self._write_pset:
            write_atomic(folder / "pset.pk", pickle.dumps(dict(pset)))
        self.prepared.append(dict(pset))
        return {}


@dataclass(frozen=True)
class _Machine:
    """Where jobs are to run.

    Attributes
    ----------
    name : str
    subcmd : str
        What submits a jobscript.
    jobscript : Template
    """

    name: str
    subcmd: str
    jobscript: Template

    def write_script(self, folder: Path, psets: Sequence[Mapping[str, Any]]) -> None:
        """Write the script that submits the jobs of psets; those of earlier calls are comments."""
        path = folder / f"run_{self.name}.sh"
        lines = [*_earlier(path), *map(self._line, psets)]
        write_atomic(path, _HEAD + "".join(f"{line}\n" for line in lines))
        path.chmod(path.stat().st_mode | 0o111)

    def _line(self, pset: Mapping[str, Any]) -> str:
        return (
            f"cd {pset['_pset_id']}; {self.subcmd} {self.jobscript.target}; cd $here"
            f"  # run_seq={pset['_run_seq']} pset_seq={pset['_pset_seq']}"
        )


def _earlier(script: Path) -> Iterator[str]:
    """Yield the jobs in a script, as comments."""
    for line in script.read_text().splitlines() if script.is_file() else ():
        if "# run_seq=" in line:
            yield line if line.startswith("#") else f"# {line}"


def _machines(folder: Path, mode: str) -> list[_Machine]:
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder {folder}; machines are folders in it. See prep_batch."
        )
    found = [_machine(path, mode) for path in sorted(folder.iterdir()) if path.is_dir()]
    if not found:
        raise UsageError(f"There is no machine in {folder}. Make one: {folder}/local/jobscript")
    return found


def _machine(folder: Path, mode: str) -> _Machine:
    sources = (folder / JOBSCRIPT, folder / f"{JOBSCRIPT}{JINJA}")
    source = next((path for path in sources if path.is_file()), None)
    if source is None:
        raise UsageError(f"There is no {JOBSCRIPT} in {folder}.")
    template = _template(source, f"{JOBSCRIPT}_{folder.name}", mode)
    return _Machine(folder.name, _submit_command(folder / "info.yaml"), template)


def _submit_command(file: Path) -> str:
    if not file.is_file():
        raise UsageError(f"There is no file {file}. It says what submits jobs: subcmd: sbatch")
    try:
        info = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no YAML: {error}") from error
    if not isinstance(info, Mapping):
        raise UsageError(f"{file} has to be names and values, such as subcmd: sbatch")
    command = info.get("subcmd")
    if not isinstance(command, str) or not command.strip() or "\n" in command.strip():
        close = did_you_mean("subcmd", [str(name) for name in info if name != "subcmd"])
        raise UsageError(f"{file} has to say what submits jobs, as in subcmd: sbatch.{close}")
    return command.strip()


def _templates(folder: Path, mode: str) -> list[Template]:
    """Return the templates of a folder, which need not be there, and of those in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    own = [path for path in files if "__pycache__" not in path.parts]
    return [_template(path, path.relative_to(folder).as_posix(), mode) for path in own]


def _template(source: Path, target: str, mode: str) -> Template:
    if mode not in _MODES:
        raise UsageError(f"There is no template_mode {mode!r}. Known: {', '.join(_MODES)}.")
    jinja = True if mode == "jinja" else None
    return Template(source, target.removesuffix(JINJA), "$", Path.cwd(), jinja=jinja)
