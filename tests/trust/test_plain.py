"""What is read of anybody's pickles, and what of nobody's."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
import io
import operator
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from psyflow import Param, ParameterSpace
from psyflow.columns import Numbers
from psyflow.pspace.space import Selection
from psyflow.record.frozen import FrozenSpace
from psyflow.system.plain import NotPlainError, check_plain
from psyflow.system.trust import Unpickler, seal, unpickled, unsealed
from tests.support.rows import same

UTC = datetime.UTC

# ------------------------------------------------------------------ plain values

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.just(decimal.Decimal("nan")),
    st.fractions(),
    st.uuids(),
    st.sampled_from([PurePosixPath("a/b"), Path("c"), PureWindowsPath("d:/e")]),
    npst.from_dtype(np.dtype("f4")),
    npst.from_dtype(np.dtype("M8[ms]")),
    npst.from_dtype(np.dtype("U3")),
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=5,
)
arrays = st.one_of(
    st.integers(1, 5).map(lambda n: np.linspace(0, 1, n)),
    npst.arrays(
        st.sampled_from(["?", "i1", ">i4", "f2", "f8", "c16", "M8[D]", "m8[3s]", "U4", "S2"]),
        npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3),
    ),
    st.lists(scalars, min_size=1, max_size=3).map(lambda values: as_objects(values)),
)


def as_objects(values: list[Any]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def columns(name: str) -> st.SearchStrategy[ParameterSpace]:
    values = st.one_of(
        st.lists(nested, min_size=1, max_size=4), arrays, st.just(range(3)), scalars
    )
    return values.map(lambda found: Param(**{name: found}))


@st.composite
def spaces(draw: st.DrawFn) -> ParameterSpace:
    space = draw(columns("a")) * draw(columns("b"))
    for change in draw(st.lists(st.sampled_from("+-[uw*"), max_size=4)):
        if change == "+":
            space = space + draw(columns("c"))
        elif change == "-":
            space = space - space[:1]
        elif change == "[":
            space = space[:: draw(st.sampled_from([1, 2, -1]))]
        elif change == "u":
            space = space.unique()
        elif change == "w":
            space = space.where(lambda a: a is not None)
        elif "d" not in space.keys():  # noqa: SIM118
            space = space * Param(d=range(2))
    return space


@given(spaces(), st.dictionaries(st.sampled_from("ab"), nested, max_size=1))
@settings(deadline=None)
def test_plain_spaces_are_read_from_anybodys_folder(
    space: ParameterSpace, defaults: dict[str, Any]
) -> None:
    frozen = FrozenSpace.of(space, defaults)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pspace.pkl"
        path.write_bytes(frozen.pickled)  # without a seal
        loaded = FrozenSpace.load(path, frozen.digest)
    assert same(loaded.space.build(), space.build())
    assert same(dict(loaded.defaults), frozen.defaults)


VALUES = [
    {1, 2},
    frozenset([1]),
    bytearray(b"ab"),
    slice(1, 2),
    range(5),
    collections.OrderedDict(a=1),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    collections.deque([1, 2], 3),
    [int, np.float64],
    np.dtype("f4"),
    Numbers(np.arange(3)),
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.arange(6)[::2],
    np.zeros((0, 2)),
    np.array(3),
    np.zeros((2, 3), object)[:, :2],
    np.array(["2020-01-01", "NaT"], "M8[D]"),
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_of_the_standard_library_and_numpy(value: Any, protocol: int) -> None:
    loaded = unpickled(pickle.dumps(value, protocol), "It", own=False)
    assert type(loaded) is type(value)
    assert repr(loaded) == repr(value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_another_numpy_has_pickled(value: Any) -> None:
    ours = pickle.dumps(value, 4)
    # Without the frame, whose length would not be right any more.
    ours = ours[:2] + ours[11:] if ours[2:3] == pickle.FRAME else ours
    for module in ("multiarray", "numeric"):
        new, old = f"numpy._core.{module}".encode(), f"numpy.core.{module}".encode()
        theirs = ours.replace(_text(new), _text(old))
        for pickled in (theirs, ours.replace(_text(old), _text(new))):
            assert repr(unpickled(pickled, "It", own=False)) == repr(value)
            assert repr(Unpickler(io.BytesIO(pickled)).load()) == repr(value)


def _text(name: bytes) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(name)]) + name


# ------------------------------------------------------------------ what is not plain


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


def _dtype(code: str, *state: Any) -> Call:
    return Call(np.dtype, code, False, True, state=state)


def _array(*state: Any) -> Call:
    return Call(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b", state=state)


F8 = (3, "<", None, None, None, -1, -1, 0)
HARMFUL: dict[str, Callable[[], Any]] = {
    "a program": lambda: Call(os.system, "true"),
    "code": lambda: Call(eval, "1"),
    "a file": lambda: Call(open, "/dev/null"),
    "an attribute": lambda: Call(getattr, "", "join"),
    "a partial function": lambda: functools.partial(print),
    "a method": lambda: operator.methodcaller("unlink"),
    "a class of one's own": lambda: Call(Call, int),
    "a type made by a call": lambda: Call(int, "1"),
    "a rule for a selection": lambda: Call(Selection, Param(a=[1]), Call),
    "a space of something else": lambda: Call(type(Param() + Param()), [1]),
    "a subclass of arrays": lambda: np.ma.array([1]),
    "an array of a subclass": lambda: Call(
        np._core.multiarray._reconstruct, np.ma.MaskedArray, (0,), b"b"
    ),
    "an array without memory": lambda: Call(np.ndarray, (10**6,)),
    "a type of everybody's arrays": lambda: Call(np.dtype, "f8", state=F8),
    "a type that claims to hold no objects": lambda: _dtype("O8", *F8[:-1], 0),
    "a type that claims to hold objects": lambda: _dtype("f8", *F8[:-1], 63),
    "a type that is larger than it says": lambda: _dtype("V8", *F8[:5], 10**6, 1, 0),
    "a structured type": lambda: np.dtype([("a", "O")]),
    "objects from bytes": lambda: Call(np._core.multiarray.scalar, np.dtype("O"), b"\1" * 8),
    "a short list of objects": lambda: _array(1, (3,), np.dtype("O"), False, [1]),
    "a long array of few bytes": lambda: _array(1, (3,), np.dtype("f8"), False, b"1"),
    "an attribute of a value": lambda: Call(decimal.Decimal, "1", state=(None, {"a": 1})),
    "an attribute of a sum": lambda: Call(
        type(Param() + Param()), Param(a=[1]), state=(None, {"_take": int})
    ),
    "keys of a space": lambda: Call(Param, state=({1: [1]}, {}, 1)),
}


@pytest.mark.parametrize("harm", HARMFUL.values(), ids=HARMFUL)
def test_anything_else_is_not_plain(harm: Callable[[], Any]) -> None:
    with pytest.raises(NotPlainError):
        check_plain(pickle.dumps([harm()]))


def test_elements_of_an_array_are_not_set() -> None:
    # By hand: what follows the array are the opcodes for a key, a value, and setting the item.
    array = pickle.dumps(np.arange(3), 4)
    array = array[:2] + array[11:-1]
    check_plain(array + b".")
    with pytest.raises(NotPlainError):
        check_plain(array + b"K\x00K\x01s.")


def test_a_state_for_a_class_would_change_it_for_everybody() -> None:
    # By hand, for no pickler writes that: fractions.Fraction with the state (None, {"a": 1}).
    pickled = b"cfractions\nFraction\n(N}Va\nI1\nstb."
    assert not hasattr(fractions.Fraction, "a")
    pickle.loads(pickled)
    assert fractions.Fraction.a == 1  # type: ignore[attr-defined]
    del fractions.Fraction.a  # type: ignore[attr-defined]
    with pytest.raises(NotPlainError):
        check_plain(pickled)


def test_a_type_gets_its_state_once() -> None:
    dtype = pickle.dumps(np.dtype("V8"), 2)
    state = dtype[dtype.index(b"(", dtype.index(b"R")) : dtype.index(b"b.") + 1]
    check_plain(dtype)
    with pytest.raises(NotPlainError):
        check_plain(dtype[:-1] + state + b".")


def test_a_damaged_pickle_is_not_gone_on_with() -> None:
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        check_plain(pickle.dumps([1, 2])[:-3])


def test_seal_of_another_key_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(b"data", tmp_path)
    assert unsealed(sealed) == (b"data", True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of another"))
    assert unsealed(sealed) == (b"data", False)
    assert unsealed(seal(b"data", tmp_path)) == (b"data", True)
    assert unsealed(sealed[:-40]) == (sealed[:-40], False)
