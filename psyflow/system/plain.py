"""Whether a pickle holds *plain* values only, which are made without running anybody's code.

A pickle is a program without branches: it puts values on a stack, and calls what it names. So it
is gone through with *stand-ins* in place of what it names. They make nothing, and check what would
be done: that it is in the list below, with arguments that are known to be harmless. Then the same
bytes may be unpickled.

The list has values of the standard library and of NumPy, and psyflow's own classes of spaces.
NumPy believes what a pickle says about the flags of a type or the length of a list, up to reading
memory that is none of the array's; so types are compared with what NumPy itself would write.
"""

from __future__ import annotations

import functools
import io
import math
import pickle
import re
from collections.abc import Mapping
from typing import IO, Any

__all__ = ["NotPlainError", "check_next", "check_plain", "name_here"]

_TASK_OF_OLD = re.compile(r"psyflow_(task_\w+|psy_conf)_[0-9a-f]{8}")
"""What an earlier psyflow called the module of a task file, with a digest of its path."""
_TYPE_CODE = re.compile(r"[biufcmMOSUV]\d{1,9}")


class NotPlainError(Exception):
    """A pickle wants more than plain values.

    Parameters
    ----------
    wanted : str
        What it wants, such as ``"module.Class"``.
    """

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def check_plain(pickled: bytes) -> None:
    """Raise NotPlainError if `pickled` holds more than plain values; run nothing of it.

    A pickle that is damaged raises ``pickle.UnpicklingError`` or EOFError.

    Examples
    --------
    >>> check_plain(pickle.dumps([1, "a", {"b": 2j}]))
    >>> check_plain(pickle.dumps(eval))
    Traceback (most recent call last):
    ...
    psyflow.system.plain.NotPlainError: builtins.eval
    """
    check_next(io.BytesIO(pickled))


def check_next(file: IO[bytes]) -> None:
    """Do the same with the pickle that a file goes on with, and leave off where that ends."""
    try:
        _Look(file).load()
    except (NotPlainError, MemoryError, pickle.UnpicklingError, EOFError):
        raise
    except Exception as error:
        # No pickler writes what a stand-in cannot do.
        raise NotPlainError(f"what no pickle of plain values does ({error})") from error


@functools.lru_cache(256)  # each frame of a shard asks for the same few
def name_here(module: str, name: str) -> tuple[str, str]:
    """Return what a class or function is called here that another version has pickled.

    Examples
    --------
    >>> name_here("pathlib._local", "PosixPath")
    ('pathlib', 'PosixPath')
    >>> name_here("psyflow_task_circle_c0ffee00", "Model")
    ('task_circle', 'Model')
    >>> name_here("numpy.core.numeric", "_frombuffer") == name_here(
    ...     "numpy._core.numeric", "_frombuffer"
    ... )
    True
    """
    if module == "pathlib._local":  # Python 3.13
        return "pathlib", name
    if (module, name) == ("numpy", "bool"):  # NumPy 2; in NumPy 1 that was Python's
        return "numpy", "bool_"
    if match := _TASK_OF_OLD.fullmatch(module):
        return ("psy-conf" if match[1] == "psy_conf" else match[1]), name
    if match := re.fullmatch(r"numpy\._?core\.(.+)", module):
        return f"{_numpy_core()}.{match[1]}", name
    return module, name


@functools.cache
def _numpy_core() -> str:
    import numpy as np

    return "numpy.core" if np.lib.NumpyVersion(np.__version__) < "2.0.0.dev0" else "numpy._core"


class _Look(pickle.Unpickler):
    """Goes through a pickle with stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        found = _stand_ins().get(".".join(name_here(module, name)))
        if found is None:
            raise NotPlainError(f"{module}.{name}")
        return found


class _Value:
    """Stands for a class, its instances for values; made with any arguments, and never changed."""

    def __new__(cls, *args: Any) -> _Value:
        # Not in `__init__`, for pickles can make values without it.
        made = super().__new__(cls)
        made.check(args)
        return made

    def check(self, args: tuple[Any, ...]) -> None:
        """Raise NotPlainError if making the value of `args` could do harm."""

    def __setstate__(self, state: Any) -> None:
        """Refuse: such a value is all in its arguments."""
        raise self.refused("with a state")

    def refused(self, what: str) -> NotPlainError:
        return NotPlainError(f"{type(self).__name__} {what}")

    def require(self, condition: bool) -> None:
        if not condition:
            raise self.refused("with arguments that no pickler gives it")


class _Named(_Value):
    """A class that is a value itself, such as ``float``: it is not to be called."""

    def check(self, args: tuple[Any, ...]) -> None:
        raise self.refused("called")


class _Dict(_Value):
    """A dict of some type."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _Deque(_Value):
    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass


class _Once(_Value):
    """A value that gets its state from the pickle, once."""

    is_built = False

    def __setstate__(self, state: Any) -> None:
        # A second state could take back what those rely on who have the value.
        self.require(not self.is_built)
        self.check_state(state)
        self.is_built = True

    def check_state(self, state: Any) -> None:
        raise NotImplementedError


class _Uuid(_Once):
    def check_state(self, state: Any) -> None:
        self.require(type(state) is dict and all(type(part) is int for part in state.values()))


class _Dtype(_Once):
    """A type of arrays."""

    def check(self, args: tuple[Any, ...]) -> None:
        # It has to be a copy, or the state would change the type of everybody's arrays.
        self.require(len(args) == 3 and args[1:] == (False, True) and type(args[0]) is str)
        self.require(_TYPE_CODE.fullmatch(args[0]) is not None)
        self.code: str = args[0]

    def check_state(self, state: Any) -> None:
        import numpy as np

        self.require(type(state) is tuple and len(state) in (8, 9) and state[1] in ("<", ">", "|"))
        unit = ""
        if len(state) == 9:
            metadata, (name, number, *_) = state[8]
            self.require(metadata in (None, {}))  # which of them, NumPy 1 and 2 disagree
            unit = f"[{int(number)}{name.decode()}]"
        honest = np.dtype(f"{state[1]}{self.code}{unit}")
        self.require(_told(honest.__reduce__()[2]) == _told(state))
        self.n_bytes = honest.itemsize
        self.is_object = honest.hasobject


def _told(state: Any) -> str:
    """Return the state of a type as text, for what else might be in there need not compare."""
    head, clock = state[:8], state[8:]
    return repr((head, [part[1] for part in clock]))


class _Array(_Once):
    """An array; here one of all its elements."""

    def check(self, args: tuple[Any, ...]) -> None:
        self.require(len(args) == 3 and args[1:] == ((0,), b"b"))
        self.require(args[0] is _stand_ins()["numpy.ndarray"])

    def check_state(self, state: Any) -> None:
        self.require(type(state) is tuple and len(state) == 5 and type(state[3]) in (bool, int))
        _, shape, dtype, _, elements = state
        self.require(_is_shape(shape) and _is_known(dtype))
        if dtype.is_object:
            self.require(type(elements) is list and len(elements) == math.prod(shape))
        else:
            self.require(type(elements) in (bytes, bytearray))
            self.require(len(elements) == math.prod(shape) * dtype.n_bytes)


class _Buffer(_Array):
    """An array of the bytes in a pickle."""

    def check(self, args: tuple[Any, ...]) -> None:
        self.require(len(args) in (4, 5) and type(args[0]) in (bytes, bytearray))
        self.require(_is_known(args[1]) and not args[1].is_object and _is_shape(args[2]))
        self.require(args[3] in ("C", "F", "K") and all(map(_is_shape, args[4:])))
        self.is_built = True


class _Repeated(_Array):
    """A view of an array, as often as a shape says."""

    def check(self, args: tuple[Any, ...]) -> None:
        self.require(len(args) == 2 and isinstance(args[0], _Array) and args[0].is_built)
        self.require(_is_shape(args[1]))
        self.is_built = True


class _Scalar(_Value):
    def check(self, args: tuple[Any, ...]) -> None:
        self.require(len(args) == 2 and _is_known(args[0]) and not args[0].is_object)
        self.require(type(args[1]) is bytes and len(args[1]) == args[0].n_bytes)


def _is_known(dtype: Any) -> bool:
    return isinstance(dtype, _Dtype) and dtype.is_built


def _is_shape(shape: Any) -> bool:
    return type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)


class _Numbers(_Value):
    def check(self, args: tuple[Any, ...]) -> None:
        self.require(len(args) == 1 and isinstance(args[0], _Array))


class _Space(_Value):
    """A sum or product of spaces."""

    def check(self, args: tuple[Any, ...]) -> None:
        self.require(all(isinstance(arg, _Space) for arg in args))


class _Param(_Once, _Space):
    def check_state(self, state: Any) -> None:
        self.require(type(state) is tuple and len(state) == 3 and type(state[2]) is int)
        for columns in state[:2]:
            self.require(type(columns) is dict and all(type(name) is str for name in columns))


class _Range(_Value):
    pass


class _Selection(_Space):
    def check(self, args: tuple[Any, ...]) -> None:
        # It would call positions that are a function.
        self.require(len(args) == 2 and isinstance(args[0], _Space))
        self.require(isinstance(args[1], _Range | _Array))


_MODULES: Mapping[str, Mapping[type[_Value], str]] = {
    "builtins": {
        _Value: "bytearray complex frozenset set slice",
        _Range: "range",
        _Named: "bool bytes dict float int list str tuple",
    },
    "datetime": {_Value: "date datetime time timedelta timezone"},
    "decimal": {_Value: "Decimal"},
    "fractions": {_Value: "Fraction"},
    "pathlib": {_Value: "PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"},
    "uuid": {_Uuid: "UUID"},
    "collections": {_Value: "Counter", _Dict: "OrderedDict defaultdict", _Deque: "deque"},
    "numpy": {
        _Dtype: "dtype",
        _Named: "ndarray bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 "
        "float64 longdouble complex64 complex128 clongdouble str_ bytes_ datetime64 timedelta64",
        _Repeated: "broadcast_to",
    },
    "numpy._core.multiarray": {_Array: "_reconstruct", _Scalar: "scalar"},
    "numpy._core.numeric": {_Buffer: "_frombuffer"},
    "execo_engine.sweep": {_Dict: "HashableDict"},
    "execo_engine.utils": {_Dict: "HashableDict"},
    "psyflow.columns": {_Numbers: "Numbers"},
    "psyflow.pspace.param": {_Param: "Param"},
    "psyflow.sweeper.combinations": {_Dict: "HashableDict"},
    "psyflow.pspace.space": {_Space: "Product Sum", _Selection: "Selection"},
}


@functools.cache
def _stand_ins() -> dict[str, type[_Value]]:
    """Return what stands for each class or function that pickles of plain values name."""
    return {
        (full := ".".join(name_here(module, name))): type(full, (kind,), {})
        for module, kinds in _MODULES.items()
        for kind, names in kinds.items()
        for name in names.split()
    }
