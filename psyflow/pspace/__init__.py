"""Parameter spaces: what to evaluate, described without writing it all out.

Examples
--------
>>> from psyflow.pspace import Param
>>> space = Param(a=[1, 2]) * Param(b=[3, 4])
>>> [(pset["a"], pset["b"]) for pset in space.iterate()]
[(1, 3), (1, 4), (2, 3), (2, 4)]
"""

from psyflow.exceptions import AmbiguousOperationError
from psyflow.pspace.builders import geom, igeom, sweep
from psyflow.pspace.grids import arange, linspace, logspace
from psyflow.pspace.param import Param, dict_concat
from psyflow.pspace.remainder import missing
from psyflow.pspace.space import Difference, ParameterSpace, Product, Sum

__all__ = [
    "AmbiguousOperationError",
    "Difference",
    "Param",
    "ParameterSpace",
    "Product",
    "Sum",
    "arange",
    "dict_concat",
    "geom",
    "igeom",
    "linspace",
    "logspace",
    "missing",
    "sweep",
]
