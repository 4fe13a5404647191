"""Libraries that psyflow does without until somebody asks for what they do."""

from __future__ import annotations

import importlib
from typing import Any

from psyflow.exceptions import UsageError

__all__ = ["needed"]

_EXTRAS = {
    "duckdb": "query",
    "h5netcdf": "xarray",
    "h5py": "xarray",
    "matplotlib": "plot",
    "pandas": "pandas",
    "plotext": "plot",
    "polars": "polars",
    "pyarrow": "query",
    "xarray": "xarray",
}


def needed(module: str) -> Any:
    """Import a module of a library that is an extra of psyflow.

    Parameters
    ----------
    module : str
        Such as ``"xarray"``, or ``"matplotlib.pyplot"``.

    Returns
    -------
    module

    Raises
    ------
    UsageError
        If it is not installed, with the command that does so, or cannot be imported.

    Examples
    --------
    >>> needed("pandas").__name__
    'pandas'
    """
    library = module.partition(".")[0]
    command = f"pip install 'psyflow[{_EXTRAS[library]}]'"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == library:
            raise UsageError(f"{library} is not installed. Type: {command}") from error
        raise UsageError(
            f"{library} cannot be imported, for {missing} is not installed. Type: {command}"
        ) from error
    except ImportError as error:
        raise UsageError(f"{library} cannot be imported ({error}). Type: {command}") from error
