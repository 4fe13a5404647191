"""What values that are more than plain ones consist of, in plain values.

A value that is not plain counts by its type and by what it is made of. Most types say themselves
of what, by how they are pickled. Some say it another way in each process, or in each version of
NumPy: what those are made of is written down here.
"""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UnstableValueError

__all__ = ["Content", "has_content", "is_global_random_state", "type_name", "what_is_in"]

Content: TypeAlias = tuple[str, list[Any]]


def type_name(kind: type) -> str:
    """Return by which name a type counts.

    Examples
    --------
    >>> type_name(OrderedDict), type_name(np.recarray)
    ('collections:OrderedDict', 'numpy:recarray')
    """
    module = kind.__module__
    # In which of its modules NumPy has a class is not the same in NumPy 1 and 2.
    return f"{'numpy' if module.startswith('numpy.') else module}:{kind.__qualname__}"


@functools.singledispatch
def what_is_in(value: Any) -> Content | None:
    """Return the name of a kind and the values that tell those of the kind apart.

    Returns
    -------
    tuple of str and list, or None
        None if the pickle of the value says it well enough.

    Examples
    --------
    >>> what_is_in(OrderedDict(b=1, a=2))
    ('collections:OrderedDict', [[('b', 1), ('a', 2)], None])
    """
    special = _of_imported(type(value))  # type: ignore[arg-type]
    return None if special is None else special(value)


def has_content(kind: type) -> bool:
    """Return whether `what_is_in` knows the values of a type."""
    is_known = what_is_in.dispatch(kind) is not what_is_in.dispatch(object)
    return is_known or _of_imported(kind) is not None


def _attributes(value: Any) -> Any:
    return value.__getstate__()


@what_is_in.register(dict)
def _dict(value: Any) -> Content:
    # Of a defaultdict, what makes it tells what its default is.
    made_by = value.__reduce_ex__(4)
    arguments = made_by[1:3] if len(made_by) > 4 else [_attributes(value)]
    return type_name(type(value)), [dict(value), *arguments]


@what_is_in.register(OrderedDict)
def _ordered_dict(value: Any) -> Content:
    return type_name(type(value)), [list(value.items()), _attributes(value)]


@what_is_in.register(set)
@what_is_in.register(frozenset)
def _set(value: Any) -> Content:
    return type_name(type(value)), [set(value), _attributes(value)]


@what_is_in.register(PurePath)
def _path(value: Any) -> Content:
    return type_name(type(value)), [value.as_posix(), getattr(value, "__dict__", {})]


@what_is_in.register(np.ndarray)
def _array(value: Any) -> Content:
    # Not registered: it takes NumPy longer to import these than all else that `psy` needs of it.
    if "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray):
        return _masked_array(value)
    return type_name(type(value)), [_plain_array(value), _attributes(value)]


def _plain_array(value: Any) -> npt.NDArray[Any]:
    return np.ndarray.view(value, np.ndarray)


def _masked_array(value: Any) -> Content:
    # What is behind the mask has no part in it, nor has a default that was looked at.
    data = _plain_array(np.ma.MaskedArray.filled(value, np.zeros((), value.dtype)))  # type: ignore[arg-type]
    filling = value._fill_value
    if filling is not None and np.array_equal(filling, np.ma.default_fill_value(value.dtype)):
        filling = None
    return type_name(type(value)), [data, np.ma.getmaskarray(value), filling]


@what_is_in.register(np.void)
def _record(value: Any) -> Content:
    names = value.dtype.names
    if names is None:
        return "numpy void", [value.tobytes()]
    return "numpy record", [list(names), [value[name] for name in names]]


@what_is_in.register(np.dtype)
def _dtype(value: Any) -> Content:
    if value.subdtype is not None:
        return "numpy dtype", [*value.subdtype]
    if value.names is None:
        # Of text of any length (NumPy 2), only its text tells what stands for what is absent.
        text = str(value) if value.kind == "T" else value.str
        return "numpy dtype", [text, dict(value.metadata or {})]
    assert value.fields is not None
    fields = [(name, *value.fields[name]) for name in value.names]
    return "numpy dtype", [fields, value.itemsize, value.isalignedstruct]


# Of what is not imported for this: NumPy's random numbers, and torch.


def _generator(value: Any) -> Content:
    return type_name(type(value)), [value.bit_generator.state]


def _bit_generator(value: Any) -> Content:
    return type_name(type(value)), [value.state]


def _random_state(value: Any) -> Content:
    if is_global_random_state(value):
        # Its numbers differ in every process; what counts is that it is this one.
        return "numpy global RandomState", []
    return type_name(type(value)), [value.get_state(legacy=False)]


def is_global_random_state(value: object) -> bool:
    """Return whether `value` is what ``np.random.seed`` seeds."""
    return value is getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)


def _tensor(value: Any) -> Content:
    # Its pickle has addresses in it, which differ in every process.
    layout = str(value.layout)
    try:
        plain = value.detach().to_dense() if layout != "torch.strided" else value.detach()
        plain = plain.cpu().resolve_conj().resolve_neg().contiguous()
        data = plain.reshape(-1).view(sys.modules["torch"].uint8).numpy().tobytes()
    except (RuntimeError, NotImplementedError, TypeError) as error:
        # Quantised, or on no device.
        raise UnstableValueError(
            f"a tensor of type {value.dtype} on {value.device} has no stable content: {error}. "
            "Use a name for it, and make it in `execute`."
        ) from error
    told = [str(value.dtype), list(value.shape), layout, str(value.device), value.requires_grad]
    return type_name(type(value)), [*told, data, getattr(value, "__dict__", {})]


_BY_NAME: dict[str, Callable[[Any], Content]] = {
    "numpy:Generator": _generator,
    "numpy:BitGenerator": _bit_generator,
    "numpy:SeedSequence": _bit_generator,
    "numpy:RandomState": _random_state,
    "torch:Tensor": _tensor,
}


@functools.lru_cache(maxsize=1 << 10)
def _of_imported(kind: type) -> Callable[[Any], Content] | None:
    """Return what knows the values of a type of a library that is not imported for this."""
    known = (_BY_NAME.get(type_name(base)) for base in kind.__mro__)
    return next((content for content in known if content is not None), None)
