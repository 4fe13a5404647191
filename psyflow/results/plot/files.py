"""Pictures in files: which kinds there are, and writing one whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import UsageError
from psyflow.messages import shown_path
from psyflow.results.extras import needed
from psyflow.results.plot.theme import settings
from psyflow.system.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["require_folder", "require_writable", "write_figure"]

_FIRST = ("png", "svg", "pdf")
# The first two want a TeX on this machine, or are no pictures for anybody to look at.
_LEFT_OUT = {"pgf", "raw", "rgba"}


def require_writable(file: Path) -> None:
    """Raise an error unless a picture can be written to `file`.

    Raises
    ------
    UsageError
        If its extension is not known, its folder does not exist, or matplotlib is not installed.
    """
    require_folder(file)
    known = _extensions()
    extension = file.suffix.lower().removeprefix(".")
    if extension not in known:
        listed = ", ".join(f".{name}" for name in known)
        said = f"{file.name} ends in .{extension}" if extension else f"{file.name} has no ending"
        proposal = shown_path(file.with_suffix(".png"))
        raise UsageError(
            f"{said}, so it is not known which kind of picture it is to be. "
            f"Type: -o {proposal}; known: {listed}."
        )


def require_folder(file: Path) -> None:
    """Raise an error unless `file` is in a folder that exists, and is none itself."""
    if file.is_dir():
        raise UsageError(f"{shown_path(file)} is a folder. Name a file in it.")
    if not file.parent.is_dir():
        folder = shown_path(file.parent)
        raise UsageError(f"The folder {folder} does not exist. Type: mkdir -p {folder}")


def write_figure(figure: Figure, file: Path, about: str = "") -> None:
    """Write a figure to a file; the same figure makes the same file.

    Parameters
    ----------
    figure : Figure
    file : Path
    about : str
        What it shows, which the file keeps where its format has a place for that.
    """
    matplotlib = needed("matplotlib")
    extension = file.suffix.lower().removeprefix(".")
    data = io.BytesIO()
    with matplotlib.rc_context(settings()):
        figure.savefig(data, format=extension, metadata=_metadata(extension, about))
    write_atomic(file, data.getvalue())


def _extensions() -> list[str]:
    """Return the endings of pictures that matplotlib can write here."""
    bases: Any = needed("matplotlib.backend_bases")
    known = set(bases.FigureCanvasBase.get_supported_filetypes()) - _LEFT_OUT
    return [*_FIRST, *sorted(known - set(_FIRST))]


def _metadata(extension: str, about: str) -> dict[str, Any] | None:
    if extension == "png":
        return {"Description": about, "Software": "psyflow"}
    if extension == "pdf":
        return {"Subject": about, "Creator": "psyflow", "CreationDate": None}
    if extension in ("svg", "svgz"):
        return {"Description": about, "Creator": "psyflow", "Date": None}
    return None
