"""HDF5: block by block, whatever the blocks are like."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tables

from psyflow.exceptions import RaggedColumnWarning, UnsupportedDataError
from psyflow.store import H5Store
from psyflow.testing.stores import assert_same_table

NAN = float("nan")
# More than is kept in memory before it goes to disk.
N = 2_200_000
STORE = H5Store()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.h5"


def objects(values):
    return np.fromiter(values, object, len(values))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (np.arange(N), [0.5], np.append(np.arange(N, dtype=float), 0.5)),
        (np.zeros(N, np.float32), [1j], np.append(np.zeros(N, complex), 1j)),
        (np.full(N, NAN), ["ö"], objects([*[NAN] * N, "ö"])),
        (np.zeros(N), [None], objects([*[0.0] * N, None])),
        (np.zeros((N // 4, 4), "U1"), np.full((1, 4), "abc"), None),
        (
            ["a" * 20] * (N // 10),
            ["b" * 1000],
            objects([*["a" * 20] * (N // 10), "b" * 1000]),
        ),
    ],
    ids=["int-float", "float-complex", "nan-text", "none", "wider", "longer"],
)
def test_widens_what_is_on_disk(path, first, second, expected):
    STORE.write(path, iter([{"x": first}, {"x": second}]))
    loaded = STORE.load(path)["x"]
    if expected is None:
        expected = np.concatenate([first, second])
    assert loaded.dtype == expected.dtype
    if expected.dtype.kind != "O":
        assert np.array_equal(loaded, expected)
    else:
        assert all(a == b or (a != a and b != b) for a, b in zip(loaded, expected, strict=True))


def test_widening_leaves_no_gap_in_the_file(path):
    STORE.write(path, iter([{"x": np.zeros((2000, 1000))}, {"x": np.zeros((1, 1000), complex)}]))
    assert path.stat().st_size < 2001 * 1000 * 16 * 1.1


def test_becomes_ragged_on_disk(path):
    blocks = [{"x": np.ones((2, 500_000))} for _ in range(3)]
    with pytest.warns(RaggedColumnWarning) as caught:
        STORE.write(path, iter([*blocks, {"x": [np.full(3, 2.0)]}, *blocks]))
    assert len(caught) == 1
    rows = STORE.load(path, ragged=True)["x"]
    assert [row.shape for row in rows] == [(500_000,)] * 6 + [(3,)] + [(500_000,)] * 6
    assert [row.sum() for row in rows] == [5e5] * 6 + [6.0] + [5e5] * 6
    assert STORE.load(path, row=6)["x"].shape == (1, 500_000)


def test_columns_that_come_late_and_go_early(path):
    blocks = [{"x": np.zeros(N)}, {"late": [1], "t": ["a"]}, {"x": [1.0]}]
    STORE.write(path, iter(blocks))
    tail = STORE.read(path, N - 1, N + 9)
    assert_same_table(
        {k: list(v) for k, v in tail.items()},
        {"x": [0.0, NAN, 1.0], "late": [NAN, 1.0, NAN], "t": [NAN, "a", NAN]},
    )


def test_error_in_a_late_block_leaves_the_old_file(path):
    STORE.save(path, {"x": [1]})
    with pytest.raises(UnsupportedDataError, match=r'"x".*text and number|"x".*number and text'):
        STORE.write(path, iter([{"x": np.zeros(N)}, {"x": ["a"]}]))
    assert_same_table(STORE.load(path), {"x": [1]})
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_blocks_without_rows_do_not_matter(path):
    blocks = [{"x": np.zeros(0)}, {"x": ["a"]}, {"x": np.zeros((0, 2))}, {"y": []}, {"x": ["b"]}]
    STORE.write(path, iter(blocks))
    loaded = STORE.load(path)
    assert loaded["x"].tolist() == ["a", "b"]
    assert np.isnan(loaded["y"]).all() and len(loaded["y"]) == 2


def test_blocks_may_come_from_hdf5(tmp_path):
    parts = [tmp_path / f"{i}.h5" for i in range(3)]
    for i, part in enumerate(parts):
        STORE.save(part, {"x": [i, i]})
    STORE.write(tmp_path / "all.h5", (STORE.load(part) for part in parts))
    assert STORE.load(tmp_path / "all.h5")["x"].tolist() == [0, 0, 1, 1, 2, 2]


def test_threads_do_not_disturb_each_other(tmp_path):
    failed = []

    def work(number):
        path = tmp_path / f"{number}.h5"
        for i in range(15):
            STORE.save(path, {"x": [number, i]})
            if STORE.load(path)["x"].tolist() != [number, i]:
                failed.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_plain_columns_can_be_read_with_any_program(path):
    STORE.save(path, {"a_frac": [0.5, 1.5], "x": np.zeros((2, 3)), "b.x": [1, 2]})
    with tables.open_file(path) as file:
        assert file.root.psyflow.a_frac[:].tolist() == [0.5, 1.5]
        assert file.root.psyflow.x.shape == (2, 3)


def test_node_may_be_anywhere(path):
    for node in ("/", "/a", "/a/b/c"):
        store = H5Store(node=node)
        store.save(path, {"x": [1]})
        assert_same_table(store.load(path), {"x": [1]})
    assert repr(H5Store()) == "H5Store(node='/psyflow')"


def test_same_table_gives_the_same_bytes(tmp_path):
    for name in ("one.h5", "two.h5"):
        STORE.save(tmp_path / name, {"a": [1, 2], "t": ["x", None]})
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_shapes_beyond_hdf5_are_refused(path):
    with pytest.raises(UnsupportedDataError, match=r'"x".*PickleStore'):
        STORE.save(path, {"x": np.zeros((1,) * 40)})


_STREAM = """
import sys, warnings
import numpy as np
from psyflow.store import H5Store
warnings.simplefilter("ignore")
store, path = H5Store(), sys.argv[1]
def blocks():
    for i in range(25):
        ragged = i == 15
        x = np.zeros((999 - ragged, 1000)) if not ragged else np.zeros((998, 999))
        yield {"x": x, "t": ["text"] * len(x), "i": [i] * len(x)}
store.write(path, blocks())
store.append(path, {"i": [0.5], "late": ["x"]})
assert store.length(path) == 999 * 24 + 998 + 1
assert store.read(path, 15 * 999, 15 * 999 + 1)["x"].shape == (1, 1000)
# Not ru_maxrss, which counts what the parent process took before exec.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


def test_writing_and_appending_take_constant_memory(path):
    command = [sys.executable, "-c", _STREAM, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes = int(done.stdout)
    assert path.stat().st_size > 190 << 20
    assert megabytes < 195


def test_no_file_stays_open(path):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    STORE.save(path, {"x": [1]})
    before = open_files()
    for _ in range(20):
        STORE.append(path, {"x": [1]})
        STORE.load(path)
        with pytest.raises(UnsupportedDataError):
            STORE.save(path, {"x": [object()]})
    assert open_files() == before
