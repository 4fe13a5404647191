"""One large array in each row of a column is stored once."""

import pickle
import warnings

import numpy as np
import pytest

from psyflow import Param
from psyflow.columns import concatenate, take
from psyflow.repeats import is_repeated, repeated
from psyflow.store import H5Store, NpzStore, PickleStore, _h5write
from psyflow.store.base import write_packed
from psyflow.system.plain import NotPlainError, check_plain

MESH = np.linspace(0, 1, 20_000)
OTHER = MESH + 1
STORES = [PickleStore(), NpzStore(), H5Store()]
N = 50


@pytest.fixture(params=STORES, ids=["pkl", "npz", "h5"])
def store(request):
    return request.param


@pytest.fixture
def path(store, tmp_path):
    return tmp_path / f"a{store.ext}"


def assert_same(column, expected):
    assert column.dtype == expected.dtype and column.shape == expected.shape
    assert np.array_equal(column, expected, equal_nan=True)


def blocks(space, size):
    for start in range(0, len(space), size):
        yield space.take_packed(np.arange(start, min(start + size, len(space))))


@pytest.mark.parametrize("fixed", [Param(mesh=[MESH]), Param(mesh=MESH[None])])
@pytest.mark.parametrize("size", [7, N, 1])
def test_a_fixed_array_is_in_the_file_once(store, path, fixed, size, monkeypatch):
    monkeypatch.setattr(_h5write, "_BUFFER_BYTES", -1)
    for space in (fixed * Param(a=range(N)), Param(a=range(N)) * fixed):
        write_packed(store, path, blocks(space, size))
        assert path.stat().st_size < 2 * MESH.nbytes
        table = store.load(path)
        assert_same(table["mesh"], np.repeat(MESH[None], N, 0))
        assert is_repeated(table["mesh"]) and not table["mesh"].flags.writeable
        assert list(table["a"]) == list(range(N))
        assert_same(store.load(path, row=3)["mesh"], MESH[None])
        assert_same(store.read(path, 2, 5)["mesh"], np.repeat(MESH[None], 3, 0))
        assert store.length(path) == N


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize(
    "columns",
    [
        [repeated(MESH, 3), repeated(OTHER, 2)],
        [repeated(MESH, 3), MESH[None], repeated(MESH, 2)],
        [MESH[None], repeated(MESH, 3)],
        [repeated(MESH, 3), np.stack([MESH, OTHER])],
        [repeated(MESH, 2), repeated(MESH.astype(np.float32), 2)],
        [repeated(MESH, 2), repeated(OTHER, 2), repeated(MESH, 2)],
    ],
)
def test_other_rows_are_exact_too(store, path, columns, on_disk, monkeypatch):
    if on_disk:
        monkeypatch.setattr(_h5write, "_BUFFER_BYTES", -1)
    store.write(path, iter([{"mesh": column} for column in columns]))
    loaded = store.load(path)["mesh"]
    expected = np.concatenate(columns)
    assert np.array_equal(np.array(list(loaded)), expected)


@pytest.mark.parametrize(
    "others", [[{"a": [1, 2]}], [{"mesh": [None]}], [{"mesh": [np.zeros(3)]}]]
)
@pytest.mark.parametrize("reverse", [True, False])
def test_rows_without_it_or_of_another_shape_are_exact_too(store, path, others, reverse):
    table = [{"mesh": repeated(MESH, 3)}, *others]
    table = table[::-1] if reverse else table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.write(path, iter(table))
        options = {} if store.ext == ".pkl" else {"ragged": True}
        rows = list(store.load(path, **options)["mesh"])
    rows = rows[::-1] if reverse else rows
    assert all(np.array_equal(row, MESH) for row in rows[:3])
    assert len(rows) == 5 if "a" in others[0] else 4
    assert not any(np.size(row) == MESH.size and np.array_equal(row, MESH) for row in rows[3:])


def test_it_can_be_appended_to(store, path):
    store.save(path, {"mesh": repeated(MESH, 3)})
    store.append(path, {"mesh": repeated(MESH, 2)})
    assert path.stat().st_size < 2 * MESH.nbytes
    store.append(path, {"mesh": [OTHER]})
    assert_same(np.array(list(store.load(path)["mesh"])), np.stack([*[MESH] * 5, OTHER]))


def test_no_rows_and_small_arrays_are_as_ever(store, path):
    space = Param(v=np.ones((1, 3))) * Param(a=[1, 2])
    store.save(path, space.take([0, 1]))
    assert_same(np.asarray(store.load(path)["v"]), np.ones((2, 3)))
    assert store.load(path)["v"].strides[0] != 0
    store.save(path, {"mesh": repeated(MESH, 3)[:0]})
    assert store.load(path)["mesh"].shape == (0, MESH.size)


def test_spaces_give_it_without_copies():
    space = Param(a=range(10**6)) * Param(mesh=[MESH])
    for some in (space, space.limit(10**5)):
        column = some.take(np.arange(10**5))["mesh"]
        assert is_repeated(column) and column.shape == (10**5, MESH.size)
    assert is_repeated(take(column, np.array([3, 1])))
    assert is_repeated(concatenate([{"x": column}, {"x": column[:2]}])["x"])
    assert np.array_equal(space[7]["mesh"], MESH)


def test_its_pickle_is_plain_and_needs_no_psyflow(tmp_path):
    PickleStore().save(tmp_path / "a.pkl", {"mesh": repeated(MESH, 3)})
    data = (tmp_path / "a.pkl").read_bytes()
    check_plain(data)
    assert b"psyflow" not in data[: -len("psyflow\n") - 12]
    assert_same(pickle.loads(data)["mesh"], np.repeat(MESH[None], 3, 0))


class Bad:
    def __init__(self, *args):
        self._args = args

    def __reduce__(self):
        return np.broadcast_to, self._args


@pytest.mark.parametrize("args", [(MESH, (-1, 3)), ([1], (2, 1)), (MESH,), (MESH, (1, 2), True)])
def test_other_uses_of_its_function_are_not_plain(args):
    with pytest.raises(NotPlainError):
        check_plain(pickle.dumps(Bad(*args)))


def test_several_large_arrays_take_no_more_than_ever_in_pickles(tmp_path):
    some = [
        Param(mesh=[MESH]) * Param(a=range(N)) + Param(mesh=[OTHER]) * Param(a=range(N)),
        Param(mesh=[MESH, OTHER]) * Param(a=range(N)),
    ]
    for space in some:
        write_packed(PickleStore(), tmp_path / "a.pkl", blocks(space, 2 * N))
        assert (tmp_path / "a.pkl").stat().st_size < 3 * MESH.nbytes
        loaded = list(PickleStore().load(tmp_path / "a.pkl")["mesh"])
        assert np.array_equal(loaded, [MESH] * N + [OTHER] * N)
