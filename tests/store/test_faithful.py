"""Arrays of a class of their own: whole, or refused by name."""

import copyreg
import pickle

import numpy as np
import pytest

from psyflow import map_pspace_parallel
from psyflow.exceptions import ItemsFailedError, UnsupportedDataError
from psyflow.pspace import Param
from psyflow.store import H5Store, NpzStore, PickleStore
from psyflow.work.copies import snapshot


class Metres(np.ndarray):
    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", "m")


class Slotted(np.ndarray):
    __slots__ = ("unit",)


class Plain(np.ndarray):
    pass


class Careful(Metres):
    def __reduce__(self):
        function, args, state = super().__reduce__()
        return function, args, (state, self.unit)

    def __setstate__(self, state):
        super().__setstate__(state[0])
        self.unit = state[1]


class Registered(Metres):
    pass


def made_of(kind, unit="km"):
    array = np.arange(3.0).view(kind)
    if kind is not Plain:
        array.unit = unit
    return array


@pytest.fixture(params=[Metres, Slotted])
def losing(request):
    return made_of(request.param)


def test_pickle_would_lose_it(losing):
    assert getattr(pickle.loads(pickle.dumps(losing)), "unit", None) != "km"


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: [a], lambda a: {"in": (a,)}])
def test_an_array_that_would_lose_attributes_is_refused_by_name(losing, wrap):
    name = type(losing).__name__
    with pytest.raises(UnsupportedDataError, match=rf'"y" a value of type {name}, .*`unit`.*lost'):
        snapshot({"y": wrap(losing)})
    with pytest.raises(UnsupportedDataError, match=rf'"y" holds a value of type {name}, .*`unit`'):
        PickleStore().check({"x": 1, "y": wrap(losing)})


def test_no_store_makes_a_plain_array_of_it(losing, tmp_path):
    for store in (PickleStore(), NpzStore(), H5Store()):
        with pytest.raises(UnsupportedDataError, match=r'"y".*np\.asarray'):
            store.save(tmp_path / f"a{store.ext}", {"y": [losing]})
        with pytest.raises(UnsupportedDataError, match=r'"y"'):
            store.save(tmp_path / f"a{store.ext}", {"y": losing})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [Careful, Plain])
def test_an_array_that_loses_nothing_is_kept(kind):
    array = made_of(kind)
    kept = snapshot({"y": [array]})["y"][0]
    assert type(kept) is kind and kept.tolist() == array.tolist()
    assert getattr(kept, "unit", "km") == "km"


def test_a_class_that_others_have_taught_pickle_is_kept(monkeypatch):
    monkeypatch.setitem(
        copyreg.dispatch_table, Registered, lambda a: (made_of, (Registered, a.unit))
    )
    assert snapshot({"y": made_of(Registered)})["y"].unit == "km"


def test_arrays_of_numpy_are_kept(tmp_path):
    mapped = np.memmap(tmp_path / "a.bin", float, "w+", shape=3)
    masked = np.ma.array([1, 2], mask=[True, False])
    kept = snapshot({"y": mapped[1:], "z": masked, "r": np.rec.array([(1, 2.0)])})
    assert kept["y"].tolist() == [0, 0]
    assert kept["z"].mask.tolist() == [True, False]
    assert kept["r"].f1 == 2.0


def returns_metres(x):
    return {"y": made_of(Metres)} if x else {"y": 1}


def test_it_is_the_failure_of_its_item_alone():
    with pytest.raises(ItemsFailedError, match=r'returned as "y" a value of type Metres') as found:
        map_pspace_parallel(returns_metres, Param(x=[0, 1]), n_jobs=1, backend="threading")
    assert found.value.columns == {"x": [0], "y": [1]}
