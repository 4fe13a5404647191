"""Tables in files of many formats, each written whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from psyflow.exceptions import UnknownNameError, UnsupportedDataError
from psyflow.results.choice import Chosen
from psyflow.results.extras import needed
from psyflow.results.table import Results
from psyflow.results.text.written import TEXT_FORMATS, written
from psyflow.store import known_extensions, store_for
from psyflow.system.files import atomic_path
from psyflow.texts import message_of

__all__ = ["check_format", "export", "export_formats"]

_MOST_NAMED = 5


def export_formats() -> list[str]:
    """Return the extensions of files that `export` makes, those of stores of plugins included.

    Examples
    --------
    >>> [extension for extension in export_formats() if extension.startswith(".p")]
    ['.parquet', '.pkl']
    """
    return sorted({*_WRITERS, *(f".{form}" for form in TEXT_FORMATS), *known_extensions()})


def check_format(file: Path) -> None:
    """Raise UnknownNameError if there is no format for the extension of a file."""
    if file.suffix.lower() not in export_formats():
        raise UnknownNameError("format of a file", file.suffix or file.name, export_formats())


def export(chosen: Chosen, file: Path) -> None:
    r"""Write a table to a file, in the format that its extension names.

    Numbers and texts come back from each format as they were, apart from those for people,
    Markdown and LaTeX. See `psyflow.results.text.written` for text, `Results.to_arrow` for
    Parquet and Arrow, `Results.to_xarray` for netCDF, and the stores for the others.

    Parameters
    ----------
    chosen : Chosen
    file : Path
        It is replaced if there is one.

    Raises
    ------
    UnknownNameError
        If there is no format for its extension.
    UnsupportedDataError
        If the format cannot hold some column; then nothing is written.
    UsageError
        If a library is not installed that the format needs.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(Chosen(Results({"a": [1, 2], "y": [0.5, None]})), Path(folder) / "t.csv")
    ...     (Path(folder) / "t.csv").read_bytes()
    b'a,y\r\n1,0.5\r\n2,\r\n'
    """
    check_format(file)
    extension = file.suffix.lower()
    if extension in _WRITERS:
        with _saying_what_to_do():
            write = _WRITERS[extension](chosen.table)
        with atomic_path(file) as temporary:
            write(temporary)
    elif extension[1:] in TEXT_FORMATS:
        pieces = written(chosen, extension[1:])
        with atomic_path(file) as temporary, temporary.open("wb") as out:
            # Lone surrogates are no UTF-8, but nothing is to be lost.
            out.writelines(piece.encode(errors="surrogatepass") for piece in pieces)
    else:
        with _saying_what_to_do():
            store_for(file).save(file, dict(chosen.table))


@contextlib.contextmanager
def _saying_what_to_do() -> Iterator[None]:
    """Have an error about a column end with what helps whoever exports it."""
    try:
        yield
    except UnsupportedDataError as error:
        raise UnsupportedDataError(
            f"{error} Here: leave it out with --columns, or export to a .pkl file."
        ) from error


_Write = Callable[[Path], None]


def _parquet(table: Results) -> _Write:
    made = _with_origin(table)
    parquet = needed("pyarrow.parquet")
    return lambda path: parquet.write_table(made, path)


def _arrow(table: Results) -> _Write:
    made = _with_origin(table)
    feather = needed("pyarrow.feather")
    return lambda path: feather.write_feather(made, str(path), compression="uncompressed")


def _with_origin(table: Results) -> Any:
    """Return a table of Arrow that says what it is of."""
    made = table.to_arrow()
    told = {"psyflow.task": table.task, "psyflow.run": table.run}
    if table.run is not None:
        told["psyflow.commit"] = table.provenance.get("git_commit")
    units = {f"psyflow.unit.{name}": unit for name, unit in table.units.items() if name in table}
    known = {name: value for name, value in (told | units).items() if value}
    return made.replace_schema_metadata({**(made.schema.metadata or {}), **known})


def _netcdf(table: Results) -> _Write:
    needed("h5netcdf")
    dataset = table.to_xarray(dense=None)
    unfit = {
        name: why
        for name, variable in dataset.variables.items()
        if _is_in_doubt(name, variable) and (why := _why_unfit(name, variable))
    }
    if unfit:
        names = list(unfit)
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        listed = ", ".join(f'"{name}"' for name in names[:_MOST_NAMED])
        raise UnsupportedDataError(f"netCDF cannot hold {listed}{more}: {unfit[names[0]]}")
    return lambda path: dataset.to_netcdf(path, engine="h5netcdf")


def _is_in_doubt(name: object, variable: Any) -> bool:
    return variable.dtype.kind not in "biufSUMm" or not isinstance(name, str) or "/" in name


def _why_unfit(name: object, variable: Any) -> str:
    """Return why netCDF cannot hold a variable, found out by trying; empty if it can."""
    alone = needed("xarray").Dataset({name: (variable.dims, variable.values)})
    with tempfile.TemporaryDirectory(prefix="psyflow-") as folder:
        try:
            alone.to_netcdf(Path(folder) / "tried.nc", engine="h5netcdf")
        except Exception as error:  # of whatever class the library has for it
            return " ".join(message_of(error).split()).removesuffix(".") + "."
    return ""


_WRITERS: Mapping[str, Callable[[Results], _Write]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".nc": _netcdf,
}
