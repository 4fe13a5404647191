"""Lists of psets, and their hashes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import psyflow.study as ps
from psyflow.exceptions import UsageError

A = ps.plist("a", [1, 2])
B = ps.plist("b", ["xx", "yy"])
C = ps.plist("c", [88, None, "Z"])

GOLDEN = {
    "088056f830758f949823ddc52bf8527f3e727b45": {"a": 1, "b": 88},
    "365687b444190b7b4596c70cafab721d2c58e892": {"a": 1, "b": 99},
    "52434b66dd37763d09280480ff449d66ffcdcd4f": {"a": 2, "b": 88},
    "354460f2b5c2ad565155513f95c6dbc1181f0239": {"a": 2, "b": 99},
    "35af18a51c425b09097af78d55ebdd91588c6f3c": {"a": 3, "b": 88},
    "2e6c6c9a2b05115fced36edab5cafb038c926176": {"a": 3, "b": 99},
    "e4ad4daad53a2eec0313386ada88211e50d693bd": {"a": 1},
    "7b7ee754248759adcee9e62a4c1477ed1a8bb1ab": {"a": 2},
    "9e0e6d8a99c72daf40337183358cbef91bba7311": {"a": 3},
}


def test_loops_over_psets_are_merged_and_flattened() -> None:
    # W1, W2
    assert ps.plist("a", [1, 2]) == [{"a": 1}, {"a": 2}]
    assert ps.itr2params(itertools.product(A, B)) == [
        {"a": 1, "b": "xx"},
        {"a": 1, "b": "yy"},
        {"a": 2, "b": "xx"},
        {"a": 2, "b": "yy"},
    ]
    nested = itertools.product(zip(A, B, strict=True), C)
    assert ps.itr2params(nested)[3] == {"a": 2, "b": "yy", "c": 88}


def test_grids_take_lists_one_by_one_or_in_a_list() -> None:
    # W3
    const = ps.plist("const", [1.23])
    assert ps.pgrid(A, B) == ps.pgrid([A, B]) == ps.itr2params(itertools.product(A, B))
    assert ps.pgrid([A]) == A
    assert ps.pgrid([zip(A, B, strict=True)]) == [{"a": 1, "b": "xx"}, {"a": 2, "b": "yy"}]
    grid = ps.pgrid(zip(A, B, strict=True), C, const)
    assert grid == ps.pgrid([zip(A, B, strict=True), C, const])
    assert grid[1] == {"a": 1, "b": "xx", "c": None, "const": 1.23}
    assert len(grid) == 6


@pytest.mark.parametrize("wrong", [lambda: A, lambda: zip(A, B, strict=True), lambda: iter(A)])
def test_a_grid_of_one_list_says_what_to_write(wrong) -> None:  # type: ignore[no-untyped-def]
    # W4
    with pytest.raises(UsageError, match=r"pgrid\(\[a\]\)"):
        ps.pgrid(wrong())


def test_what_is_no_pset_is_told() -> None:
    with pytest.raises(UsageError, match="has 3 in it, which is no dict"):
        ps.itr2params([({"a": 1}, 3)])
    with pytest.raises(UsageError, match="is no name"):
        ps.plist([1, 2], "a")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"plist\('a', \[3\]\)"):
        ps.plist("a", 3)  # type: ignore[arg-type]
    for wrong in ([[1, 2]], [A, 3]):
        with pytest.raises(UsageError, match=r"takes lists of psets, .*, not [13]\."):
            ps.pgrid(*wrong)


@pytest.mark.parametrize(("sha1", "pset"), GOLDEN.items())
def test_hashes_are_those_of_psweep(sha1: str, pset: dict[str, int]) -> None:
    # W10
    assert ps.pset_hash(pset) == sha1
    assert ps.pset_hash({"_run_seq": 7, **dict(reversed(pset.items()))}) == sha1


def test_hashes_tell_types_and_some_psets_have_none() -> None:
    # W10, W31
    assert ps.pset_hash({"a": 1}) != ps.pset_hash({"a": 1.0})
    assert math.isnan(float(ps.pset_hash({"a": np.int64(1)}, raise_error=False)))
    with pytest.raises(ps.PsweepHashError, match="int64"):
        ps.pset_hash({"a": np.int64(1)})
    # W33: as psweep 0.16 computes it
    assert ps.pset_hash({"a": 1, "y_": 3}, "joblib") == "64846e128be5c974d6194f77557d0511542835a8"


def test_psets_of_one_hash_come_once() -> None:
    # W30
    assert ps.filter_same_hash([{"a": 1}, {"a": 2}, {"a": 1}]) == [{"a": 1}, {"a": 2}]
    with pytest.raises(ps.PsweepHashError):
        ps.filter_same_hash([{"a": {1}}])


def test_a_star_varies_one_after_the_other() -> None:
    # W30
    const, rays = {"a": 1, "b": 77, "c": 11}, [ps.plist("a", [1, 2]), ps.plist("b", [77, 88])]
    assert ps.stargrid(const, rays) == [
        {"a": 1, "b": 77, "c": 11},
        {"a": 2, "b": 77, "c": 11},
        {"a": 1, "b": 88, "c": 11},
    ]
    assert len(ps.stargrid(const, rays, filter_dups=False)) == 4
    labelled = ps.stargrid(const, rays, vary_labels=["a", "b"])
    assert [pset["_vary"] for pset in labelled] == ["a", "a", "b"]
    arrays = ps.stargrid({"a": np.zeros(2)}, [ps.plist("b", [1, 1])])
    assert len(arrays) == 2  # without a hash, nothing is left out


def test_spaces_of_numbers() -> None:
    # W30
    assert ps.intspace(0, 2, 7).tolist() == [0, 1, 2]
    assert ps.logspace(1, 100, 3, offset=0).tolist() == [1, 10, 100]
    offset = ps.logspace(1, 100, 5, offset=3)
    assert np.allclose(offset, [1, 6.01061222, 17.29778313, 42.72386316, 100])
    with pytest.raises(UsageError, match="no logarithm"):
        ps.logspace(0, 2)
