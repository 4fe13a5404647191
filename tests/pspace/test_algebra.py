"""Products, sums, differences and selections, by example."""

import functools
import math
import operator
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from psyflow.exceptions import UnknownNameError
from psyflow.pspace import (
    AmbiguousOperationError,
    Difference,
    Param,
    ParameterSpace,
    Product,
    Sum,
    missing,
)


def test_product_varies_the_right_operand_fastest():
    space = Param(a=[1, 2, 3], b=[4, 5, 6]) * Param(c=[7, 8])
    assert space.build() == {
        "a": [1, 1, 2, 2, 3, 3],
        "b": [4, 4, 5, 5, 6, 6],
        "c": [7, 8, 7, 8, 7, 8],
    }
    assert list(space.take([0])) == space.keys() == ["a", "b", "c"]


def test_product_with_shared_names_is_refused():
    with pytest.raises(AmbiguousOperationError, match="Key `a` is in both factors"):
        Param(a=[1], b=[1]) * Param(c=[1]) * Param(a=[2])
    with pytest.raises(AmbiguousOperationError, match=r"`a`.*`b`"):
        Param(a=[1], b=[1]) * (Param(c=[1]) * Param(b=[2], a=[1]))


def test_neutral_and_empty_factors():
    space = Param(a=[1, 2])
    for product in (Param() * space, space * Param(), Product(Param(), space, Param())):
        assert product.build() == {"a": [1, 2]}
        assert str(product) == "Param(a=[1, 2])"
    assert (Param() * Param()).build() == {}
    assert len(Param() * Param()) == 0
    assert str(Param() * Param()) == "Param()"
    for empty in (space * Param(b=[]), Param(b=[]) * space):
        assert empty.build() == {"a": [], "b": []}
        assert list(empty) == []
        assert empty.pset_keys().shape == (0, 2)


def test_product_too_large_to_number():
    space = functools.reduce(operator.mul, [Param(**{f"p{i}": range(10**4)}) for i in range(5)])
    with pytest.raises(OverflowError, match="100000000000000000000 psets"):
        len(space)


def test_sum_fills_absent_names_with_nan():
    built = (Param(a=[1, 2]) + Param(a=[2, 3], b=[4, 4])).build()
    assert built["a"] == [1, 2, 2, 3]
    assert all(math.isnan(v) and type(v) is float for v in built["b"][:2])
    assert built["b"][2:] == [4, 4]


def test_sum_keeps_types_also_across_operands():
    space = Param(a=np.array([1, 2])) + Param(a=[3, "x"]) + Param(a=np.array([4.0]))
    types = [np.int64, np.int64, int, str, np.float64]
    assert [type(v) for v in space.build()["a"]] == types
    assert (Param(a=np.zeros(2)) + Param(a=np.ones(2))).columns()["a"].dtype == float


def test_sum_with_empty_spaces():
    assert (Param() + Param(a=[1])).build() == {"a": [1]}
    assert (Param(a=[1]) + Param(b=[])).keys() == ["a", "b"]
    assert Sum().build() == {}
    assert sum([Param(a=[1]), Param(a=[2])], Param()).build() == {"a": [1, 2]}


def test_difference():
    assert (Param(a=[1, 2, 3], b=[1, 2, 3]) - Param(a=[2])).build() == {"a": [1, 3], "b": [1, 3]}


def test_difference_compares_whole_rows():
    space = Param(a=[1, 1, 2, 2], b=[1, 2, 1, 2])
    assert (space - Param(a=[1, 2], b=[2, 1])).build() == {"a": [1, 2], "b": [1, 2]}


def test_difference_removes_all_duplicates_and_matches_nan():
    space = Param(a=[1, 1, float("nan"), 2])
    assert (space - Param(a=[np.float32(1), np.nan])).build() == {"a": [2]}
    filled = Param(a=[1], b=[5]) + Param(a=[2])
    assert (filled - Param(a=[2], b=[float("nan")])).build() == {"a": [1], "b": [5]}


def test_difference_of_array_valued_parameters():
    space = Param(a=[np.zeros(2), np.ones(2), [1, 1]], b=1)
    assert len(space - Param(a=[(1.0, 1.0)])) == 1


def test_difference_with_unknown_names_says_what_to_use():
    with pytest.raises(
        AmbiguousOperationError, match=r"Key `c` not existent in minuend\."
    ) as caught:
        Param(a=[1, 2, 3]) - Param(a=[2], c=[4])
    assert isinstance(caught.value, RuntimeError)
    assert "missing(minuend, subtrahend)" in str(caught.value)


def test_difference_with_an_empty_subtrahend():
    space = Param(a=[1, 2])
    assert (space - Param()).build() == (space - Param(a=[])).build() == {"a": [1, 2]}


def test_missing():
    assert missing(Param(a=[1, 2, 3]), Param(a=[2], c=[4])).build() == {"a": [1, 3]}
    assert missing(Param(a=[1, 1, 2]), Param(a=[1])).build() == {"a": [2]}
    assert missing(Param(a=[1]), Param()).build() == {"a": [1]}
    assert missing(Param(a=[1]), Param(b=[])).build() == {"a": [1]}
    assert missing(Param(), Param(a=[1])).build() == {}


def test_missing_takes_any_table():
    for done in ({"a": np.array([2]), "c": [4]}, [{"a": 2}], pd.DataFrame({"a": [2], "c": [4]})):
        assert missing(Param(a=[1, 2, 3]), done).build() == {"a": [1, 3]}
    with pytest.raises(TypeError, match="not from None"):
        missing(Param(a=[1]), None)


def test_missing_needs_all_names_of_the_minuend():
    with pytest.raises(AmbiguousOperationError, match="Key `b` not existent in subtrahend"):
        missing(Param(a=[1], b=[1]), Param(a=[1]))


def test_missing_of_spaces_with_absent_values():
    space = Param(a=[1, 2]) + Param(a=[3], b=["x"])
    done = Param.from_psets([{"a": 2, "b": float("nan"), "result": 1}])
    assert missing(space, done).build()["a"] == [1, 3]


@pytest.mark.parametrize("index", [0, 2, -1, -3, np.int64(1), np.uint8(2), True])
def test_index(index):
    assert Param(a=[1, 2, 3])[index] == {"a": [1, 2, 3][index]}


@pytest.mark.parametrize("index", [3, -4, 10**30])
def test_index_out_of_range(index):
    with pytest.raises(IndexError, match="the space has 3 items"):
        Param(a=[1, 2, 3])[index]
    with pytest.raises(TypeError):
        Param(a=[1])["a"]


@pytest.mark.parametrize("items", [[3], [-1], [0, 5], np.array([2**63], dtype=np.uint64)])
def test_take_out_of_range(items):
    with pytest.raises(IndexError):
        Param(a=[1, 2, 3]).take(items)
    with pytest.raises(IndexError):
        Param(a=[1, 2, 3]).key_take(items)


def test_take_wants_integers():
    with pytest.raises(TypeError):
        Param(a=[1, 2, 3]).take([0.5])
    assert Param(a=[1]).take([]) == {"a": []}


def test_where_calls_the_predicate_with_the_names_it_takes():
    space = Param(a=[1, 2, 3]) * Param(b=[1, 2, 3]) * Param(c="x")
    assert space.where(lambda a, b: a < b).build()["b"] == [2, 3, 3]
    assert len(space.where(lambda **pset: pset["c"] == "x")) == 9
    assert len(space.where(lambda a, limit=2: a <= limit)) == 6
    assert len(space.where(lambda a: a == 1).where(lambda b: b == 1)) == 1
    assert len(Param(a=[0, 1]).where(lambda a: np.bool_(a))) == 1


def test_where_with_an_unknown_name():
    with pytest.raises(UnknownNameError, match=r'no parameter "alpa"\. Did you mean "alpha"'):
        len(Param(alpha=[1]).where(lambda alpa: True))


def test_where_wants_a_function():
    with pytest.raises(TypeError, match=r"takes a function.*not 'a > 1'"):
        Param(a=[1]).where("a > 1")


def test_where_is_asked_once_per_pset_and_not_before_it_is_needed():
    asked = []
    space = Param(a=[1, 2, 3]).where(lambda a: asked.append(a) or a > 1)
    assert asked == []
    assert len(space) == 2
    assert list(space) == [{"a": 2}, {"a": 3}]
    assert asked == [1, 2, 3]


def test_unique_keeps_the_first_of_equal_psets():
    space = Param(a=[2, 1, 2.0, True, np.int8(1), float("nan"), np.nan], b="x")
    assert [type(v) for v in space.unique().build()["a"]] == [int, int, bool, float]


def test_limit():
    space = Param(a=[1, 2, 3])
    assert space.limit(0).build() == space.limit(9).build() == space.build()
    assert space.limit(2).build() == {"a": [1, 2]}
    with pytest.raises(ValueError, match="-1"):
        space.limit(-1)


def test_text_of_expressions():
    a, b, c = Param(a=[1]), Param(b=[2]), Param(a=[3])
    assert str((a + c) * b) == "(Param(a=[1]) + Param(a=[3])) * Param(b=[2])"
    assert str(a * b - c - c) == "Param(a=[1]) * Param(b=[2]) - Param(a=[3]) - Param(a=[3])"
    assert repr(a + c) == "Param(**{'a': [1]}) + Param(**{'a': [3]})"
    assert str(Param(a=[1, 2, 3])[2::-1]) == "(Param(a=[1, 2, 3]))[2::-1]"
    assert str(a.unique()) == "selection of (Param(a=[1]))"


def test_operands_must_be_spaces():
    for operation in (operator.add, operator.mul, operator.sub):
        with pytest.raises(TypeError):
            operation(Param(a=[1]), {"a": [1]})


def chain(operation, spaces):
    return functools.reduce(operation, spaces)


N = 10_000


def deep_sum():
    return chain(operator.add, [Param(a=[i], b=[str(i)]) for i in range(N)])


def test_deep_sum():
    space = deep_sum()
    assert len(space) == N
    assert space[N - 1] == {"a": N - 1, "b": str(N - 1)}
    assert space.take(np.arange(N)[::-7])["a"] == list(range(N))[::-7]
    assert [pset["a"] for pset in space] == list(range(N))
    assert len(space.unique()) == N
    assert len(str(space)) < 500


def test_deep_sum_to_the_right():
    space = Param(a=[N - 1])
    for i in reversed(range(N - 1)):
        space = Param(a=[i]) + space
    assert space.build()["a"] == list(range(N))


def test_deep_sum_that_is_looked_at_as_it_grows():
    space = Param()
    for i in range(N):
        space = space + Param(a=[i])
        assert len(space) == i + 1
        assert space.keys() == ["a"]
    assert space[-1] == {"a": N - 1}


def test_deep_product():
    space = chain(operator.mul, [Param(**{f"p{i}": [i]}) for i in range(N)])
    assert len(space) == 1
    assert space[0]["p77"] == 77
    assert pickle.loads(pickle.dumps(space))[0] == space[0]


def test_deep_difference():
    space = chain(operator.sub, [Param(a=range(N + 5)), *(Param(a=[i]) for i in range(N))])
    assert space.build() == {"a": list(range(N, N + 5))}
    assert len(str(space)) < 500


def test_deep_difference_and_slices_that_are_looked_at_as_they_grow():
    space = sliced = Param(a=range(2000))
    for i in range(1500):
        space, sliced = space - Param(a=[i]), sliced[1:]
        assert len(space) == len(sliced) == 1999 - i
    assert space.build() == sliced.build() == {"a": list(range(1500, 2000))}
    assert len(str(space)) < 500
    assert pickle.loads(pickle.dumps(space)).build() == space.build()


@pytest.mark.parametrize("is_looked_at", [False, True])
def test_deep_chain_of_all_operations(is_looked_at):
    """As of a study that is extended and thinned out in a loop."""
    space, psets = Param(a=[0], b=["0"]), [(0, "0")]
    for i in range(1, 600):
        space, psets = space + Param(b=[str(i)], a=[i]), [*psets, (i, str(i))]
        if i % 4 == 0:
            space = space - Param(a=[i - 2])
            psets = [pset for pset in psets if pset[0] != i - 2]
        elif i % 4 == 1:
            space, psets = (
                space.where(lambda a, i=i: a != i - 3),
                [p for p in psets if p[0] != i - 3],
            )
        elif i % 4 == 2:
            space = missing(space, Param(a=[i - 5], b=[str(i - 5)]) + space[:1])
            psets = [pset for pset in psets[1:] if pset[0] != i - 5]
        else:
            space = space.unique()[:]
        assert not is_looked_at or len(space) == len(psets)
    assert list(zip(*space.build().values(), strict=True)) == psets
    assert pickle.loads(pickle.dumps(space)).build() == space.build()
    assert len(repr(space)) < 10_000
    once_more = space * Param(c=[1, 2])
    for _ in range(100):
        once_more = (once_more - Param(c=[1])).where(lambda a: True) + once_more[:1]
    assert once_more.keys() == ["a", "b", "c"]


def test_products_nested_in_products_with_sums():
    space = Param(a0=[0, 1])
    for i in range(1, 101):
        space = (space * Param(**{f"a{i}": [i]}) + Param(**{f"a{i}": [-i]}))[1:]
    given = [{name: a for name, a in pset.items() if a == a} for pset in space]
    assert given == [{"a99": -99, "a100": 100}, {"a100": -100}]


def test_pickle_of_a_deep_sum():
    copy = pickle.loads(pickle.dumps(deep_sum()))
    assert copy.build() == deep_sum().build()


def test_pickle_resolves_selections_so_that_predicates_need_not_be_pickled():
    space = (Param(a=range(10)) * Param(b=[1, 2])).where(lambda a: a % 3 == 0).unique() - Param(
        a=[3]
    )
    copy = pickle.loads(pickle.dumps(space[1:]))
    assert isinstance(copy, ParameterSpace)
    assert copy.build() == space[1:].build()
    np.testing.assert_array_equal(copy.pset_keys(), space[1:].pset_keys())


def test_pickle_keeps_random_draws():
    space = Param(a=np.random.default_rng().random(50)) * Param(b=[1, 2])
    assert pickle.loads(pickle.dumps(space)).build() == space.build()


def test_pickle_of_a_huge_product_is_small():
    space = (Param(a=range(1000)) * Param(b=np.arange(1000)))[5:]
    assert len(pickle.dumps(space)) < 10_000


MAKE_AND_PICKLE = """
import hashlib, pickle, numpy as np
from psyflow.pspace import Param
space = Param(zeta=[1, 2.5, "x"], **{"b c": 1}) * Param(d=np.arange(9.0)) + Param(e={"y", "x"})
space = space.where(lambda zeta: zeta != "x") - Param(d=[3.0])
if LOOK:
    len(space), space.pset_keys(), space[0], str(space)
print(hashlib.sha256(pickle.dumps(space)).hexdigest())
"""


def test_spaces_made_alike_pickle_to_equal_bytes_in_other_processes_used_before_or_not():
    def digest(seed, look):
        code = f"LOOK = {look}\n{MAKE_AND_PICKLE}"
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.check_output([sys.executable, "-c", code], env=env)

    assert digest("1", False) == digest("2", True)


def test_caches_are_not_pickled():
    space = Param(a=list(range(1000))) * Param(b=[1, 2])
    before = pickle.dumps(space)
    space.pset_keys()
    assert len(space) == 2000
    assert pickle.dumps(space) == before


def test_nodes_can_be_made_directly():
    a, b = Param(a=[1, 2]), Param(b=[3])
    assert Product(a, b).build() == (a * b).build()
    assert Sum(a, a).build() == (a + a).build()
    assert Difference(a, Param(a=[1])).build() == {"a": [2]}
    assert all(isinstance(s, ParameterSpace) for s in (a, a * b, a + b, a - a, a[:1]))


def test_iterating_over_products_of_large_arrays_copies_few_at_a_time():
    space = Param(image=np.zeros((2, 1 << 18))) * Param(k=range(1000))  # 2 MB per pset
    psets = space.iterate()
    assert [next(psets)["k"] for _ in range(5)] == [0, 1, 2, 3, 4]
