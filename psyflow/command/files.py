"""Files that a program finds in the folder of its pset: links, copies, and rendered templates."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import shutil
import string
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from typing import Any

from psyflow.command.render import Text
from psyflow.exceptions import UsageError, did_you_mean

__all__ = ["FileIn", "Template", "clash", "frozen_name", "is_inside"]

COPY = "copy:"
JINJA = ".j2"


class FileIn:
    """A file of the study that is linked, or copied, to the folder.

    Parameters
    ----------
    entry : str or path-like
        Its path, from the task folder on, with fields if psets have different ones; with ``copy:``
        before it, the program may change it.
    base : Path
        The task folder.

    Examples
    --------
    >>> entry = FileIn("copy:decks/{case}.in", Path("/study"))
    >>> entry.is_copied, str(entry.counts)
    (True, '/study/decks/*.in')
    """

    def __init__(self, entry: str | os.PathLike[str], base: Path) -> None:
        text = os.fspath(entry)
        if not isinstance(text, str) or not text.removeprefix(COPY):
            raise UsageError(f"`files_in`: {entry!r} is no path of a file.")
        self.is_copied = text.startswith(COPY)
        self.path = Text(text.removeprefix(COPY))
        self._base = base

    @property
    def counts(self) -> Path:
        """The file, or the glob of the files, that results depend on."""
        return _absolute(self._base, self.path.pattern)

    @property
    def target(self) -> str | None:
        """The name that it gets in the folder of each pset; None if there may be several."""
        is_one = not self.path.names and not _is_glob(self.counts)
        return self.counts.name if is_one else None

    def trouble(self) -> str:
        """Say what is wrong with it before anything runs; nothing if it is there."""
        if self.path.names:
            return ""
        found = _files_of(self.counts)
        return "" if found else _trouble("files_in", self.counts, folders=True)

    def put(self, folder: Path, values: Mapping[str, Any], there: dict[str, Path]) -> None:
        """Link or copy it to a pset's folder.

        Parameters
        ----------
        folder : Path
        values : mapping
        there : dict from str to Path
            What has been put there, by its name; it is added.

        Raises
        ------
        FileNotFoundError
            If it is not in the study.
        FileExistsError
            If something else has its name.
        """
        path = _absolute(self._base, self.path.render(values))
        sources = _files_of(path)
        if not sources:
            raise FileNotFoundError(_trouble("files_in", path, folders=True))
        for source in sources:
            if not source.name or there.get(source.name, source) != source:
                raise FileExistsError(clash(source, source.name, there.get(source.name)))
            if source.name not in there:
                there[source.name] = source
                self._put(source, folder / source.name)

    def _put(self, source: Path, target: Path) -> None:
        if target.is_symlink():
            target.unlink()
        if not self.is_copied:
            target.symlink_to(source)
        # A copy that is there is what an earlier attempt has left, to be resumed.
        elif source.is_dir():
            if not target.exists():
                shutil.copytree(source, target, symlinks=True)
        elif not target.exists():
            shutil.copy2(source, target)


class Template:
    """A file that is rendered for each pset.

    Parameters
    ----------
    source : str or path-like
        Its path, from the task folder on. One that ends in ``.j2`` is Jinja's.
    target : str
        The name of what it becomes, in the pset's folder.
    delimiter : str
        What a placeholder begins with, unless it is Jinja's.
    base : Path
        The task folder.
    jinja : bool, optional
        Whether it is Jinja's, whatever its name ends in.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        target: str,
        delimiter: str,
        base: Path,
        *,
        jinja: bool | None = None,
    ) -> None:
        self.path = self._source = _absolute(base, os.fspath(source))
        self.frozen_name = frozen_name(os.path.relpath(self.path, base))
        self.target = str(target)
        self._delimiter = delimiter
        self._is_jinja = self.path.name.endswith(JINJA) if jinja is None else jinja
        if not delimiter:
            raise UsageError("`delimiter` of a Command is one sign or more, such as $ or @.")
        if not is_inside(self.target):
            raise UsageError(
                f"`templates`: {self.target!r} is no name of a file inside the folder of a pset."
            )
        self._parsed: _String | _Jinja | None = None

    def frozen_in(self, folder: Path) -> Template:
        """Return it as it is read from the copy in a folder, if there is one.

        Parameters
        ----------
        folder : Path
            With copies by their `frozen_name`.
        """
        frozen = copy.copy(self)
        if (folder / self.frozen_name).is_file():
            frozen._source, frozen._parsed = folder / self.frozen_name, None
        return frozen

    def trouble(
        self, known: Collection[str], *, may_be_more: bool, may_be_plain: bool = False
    ) -> str:
        """Say what is wrong with it before anything runs.

        Parameters
        ----------
        known : collection of str
            The parameters.
        may_be_more : bool
            Whether there may be more, which are only known when a worker has begun.
        may_be_plain : bool
            Whether it may be without a placeholder.
        """
        if trouble := _trouble("templates", self.path):
            return trouble
        try:
            names = self._read().names
        except ValueError as error:
            return f"{self.path}: {error}"
        if not names and not may_be_plain:
            return (
                f"{self.path} is a template without a placeholder, such as {self._example}. A "
                "file that is the same for all psets belongs to `files_in`."
            )
        unknown = [name for name in sorted(names) if name not in known]
        if unknown and not may_be_more:
            return (
                f"{self.path}: the placeholder `{unknown[0]}` is no parameter."
                f"{did_you_mean(unknown[0], known)} {self._plain}"
            )
        return ""

    def __getstate__(self) -> dict[str, Any]:
        # Made anew where it is needed: the class of a template has no name.
        return vars(self) | {"_parsed": None}

    @property
    def names(self) -> set[str]:
        """The parameters that it takes, as far as it can be read."""
        with contextlib.suppress(OSError, ValueError):
            return self._read().names
        return set()

    def put(
        self, folder: Path, values: Mapping[str, Any], there: Mapping[str, Path] | None = None
    ) -> None:
        """Render it into a pset's folder; see `FileIn.put`."""
        there, first = there or {}, PurePath(self.target).parts[0]
        # What is there may be a link: the user's own file would be overwritten.
        if there.get(first, self.path) != self.path:
            raise FileExistsError(clash(self.path, self.target, there[first]))
        target = folder / self.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            target.unlink()
        text = self._read().render(values)
        target.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        shutil.copymode(self._source, target)

    @property
    def _example(self) -> str:
        return "{{ lr }}" if self._is_jinja else f"{self._delimiter}lr"

    @property
    def _plain(self) -> str:
        if self._is_jinja:
            return "What is no placeholder stands in {% raw %} … {% endraw %}."
        return f"A {self._delimiter} that begins none is written twice: {self._delimiter * 2}."

    def _read(self) -> _String | _Jinja:
        if self._parsed is None:
            with self._source.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                text = file.read()
            self._parsed = _Jinja(text) if self._is_jinja else _String(text, self._delimiter)
        return self._parsed


class _String:
    """A template of `string.Template`."""

    def __init__(self, text: str, delimiter: str) -> None:
        kind = type("_Template", (string.Template,), {"delimiter": delimiter})
        self._template = kind(text)
        self.names: set[str] = set()
        for found in self._template.pattern.finditer(text):
            if name := found["named"] or found["braced"]:
                self.names.add(name)
            elif found["invalid"] is not None:
                line = text.count("\n", 0, found.start()) + 1
                raise ValueError(
                    f"line {line}: a {delimiter} that begins no placeholder. It is written twice "
                    f'there: {delimiter * 2}; or choose another sign, such as delimiter="@".'
                )

    def render(self, values: Mapping[str, Any]) -> str:
        """Return it with the values of a pset."""
        return str(self._template.substitute(values))


class _Jinja:
    """A template of Jinja2."""

    def __init__(self, text: str) -> None:
        try:
            import jinja2
            import jinja2.meta
        except ImportError:
            raise ValueError("A template .j2 needs Jinja2: pip install 'psyflow[jinja]'") from None
        # Not HTML: what is rendered goes to a program.
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        try:
            self.names = jinja2.meta.find_undeclared_variables(environment.parse(text))
            self._template = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from error

    def render(self, values: Mapping[str, Any]) -> str:
        """Return it with the values of a pset."""
        return str(self._template.render(values))


def frozen_name(path: str) -> str:
    """Return what the copy of a template is called.

    Parameters
    ----------
    path : str
        From the task folder on.

    Examples
    --------
    >>> frozen_name("decks/a.tpl")
    'a.tpl.e2ea81d245788f7c'
    """
    # Two folders may have templates of one name.
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
    return f"{PurePath(path).name}.{digest}"


def is_inside(name: str) -> bool:
    """Tell whether a path is that of something inside a folder.

    Examples
    --------
    >>> is_inside("in/deck.in"), is_inside("../deck.in"), is_inside("/deck.in")
    (True, False, False)
    """
    path = PurePath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _absolute(base: Path, path: str) -> Path:
    return Path(os.path.normpath(base / Path(path).expanduser()))


def clash(source: Path, name: str, other: Path | None) -> str:
    """Say that something cannot have a name in the folder of a pset."""
    if not name:
        return f"`files_in`: {source} has no name that it could have in the folder of a pset."
    whose = f"that of {other}" if other else "a file of psyflow's"
    return f"{source} cannot be {name} in the folder of a pset, for that is {whose}."


def _is_glob(path: Path) -> bool:
    return not path.exists() and any(sign in path.name for sign in "*?[")


def _files_of(path: Path) -> list[Path]:
    """Return the files, or folders, that a path or a glob stands for."""
    if path.exists():
        return [path]
    return sorted(path.parent.glob(path.name)) if _is_glob(path) else []


def _trouble(setting: str, path: Path, *, folders: bool = False) -> str:
    if path.is_file() or (folders and path.is_dir()):
        return ""
    if path.is_dir():
        return f"`{setting}`: {path} is a folder."
    if path.is_symlink():
        return f"`{setting}`: {path} is a link to {path.readlink()}, where there is nothing."
    try:
        near = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        near = []
    return f"`{setting}`: there is no file {path}.{did_you_mean(path.name, near)}"
