"""Which values are equal: the tables of docs/identity.md, and keys that must never change."""

import collections
import copyreg
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from psyflow.exceptions import PsyflowError, UnstableValueError
from psyflow.pspace import Param
from psyflow.pspace.keys import column_keys, key_hex, pset_key

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

PAGE = Path(__file__).parents[2] / "docs" / "identity.md"
GOLDEN = Path(__file__).with_name("golden_keys.json")

_CELL = r" `((?:[^`])*)` "


def _rows(pattern):
    found = re.findall(pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [tuple(cell.replace("\\|", "|") for cell in row) for row in found]


PAIRS = _rows(rf"^\|{_CELL}\|{_CELL}\| (equal|different) \|$")
REFUSED = _rows(rf"^\|{_CELL}\| (it .*) \|$")


def _top_of_study():
    block = r"at the top of the module `study`:\n\n<!-- .* -->\n```python\n(.*?)```"
    (code,) = re.findall(block, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return code


@pytest.fixture(scope="module")
def study():
    """The module whose top the page shows."""
    module = types.ModuleType("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "study", module)
        exec(_top_of_study(), module.__dict__)
        yield module.__dict__


def key(value):
    return f"{pset_key({'a': value}):032x}"


def test_there_are_enough_pairs():
    assert len(PAIRS) >= 200
    assert len(set(PAIRS)) == len(PAIRS)
    assert len(REFUSED) >= 15


@pytest.mark.parametrize("verdict", ["equal", "different"])
def test_values_are_equal_and_different_as_the_page_says(study, verdict):
    pairs = [(left, right) for left, right, said in PAIRS if said == verdict]
    wrong = [
        (left, right)
        for left, right in pairs
        if (key(eval(left, study)) == key(eval(right, study))) != (verdict == "equal")
    ]
    assert wrong == []
    assert len(pairs) > 60


def _values(study):
    expressions = dict.fromkeys(e for left, right, _ in PAIRS for e in (left, right))
    return {expression: eval(expression, study) for expression in expressions}


def test_keys_of_these_values_are_what_they_have_always_been(study):
    """They are on users' disks, of every version of Python and NumPy."""
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = {expression: key(value) for expression, value in _values(study).items()}
    if sys.platform == "win32" or np.finfo(np.longdouble).nmant != 63:
        expected.pop('np.longdouble("0.1")'), found.pop('np.longdouble("0.1")')
    assert found == expected


def test_keys_of_exceptions_do_not_depend_on_what_else_the_process_has_done(study, monkeypatch):
    """Dask, once it is used, has all exceptions pickled with their tracebacks."""
    values = [eval(e, study) for e in _values(study) if "Error" in e]
    assert values
    before = [key(value) for value in values]
    for kind in {type(value) for value in values}:
        monkeypatch.setitem(copyreg.dispatch_table, kind, lambda error: (str, ("elsewhere",)))
    assert [key(value) for value in values] == before


def test_whole_columns_have_the_keys_of_their_values(study):
    values = list(_values(study).values()) * 2
    got = [key_hex(k) for k in column_keys({"a": values}, len(values))]
    assert got == [key(value) for value in values]
    for value in values[: len(values) // 2]:
        many = column_keys({"a": [value] * 20}, 20)
        assert {key_hex(k) for k in many} == {key(value)}


def test_keys_survive_pickling(study):
    for expression, value in _values(study).items():
        if not isinstance(value, types.MappingProxyType):
            assert key(pickle.loads(pickle.dumps(value))) == key(value), expression


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(("expression", "why"), REFUSED)
def test_what_has_no_stable_content_is_refused_by_name(study, expression, why):
    value = eval(expression, study)
    expected = f"^Parameter `a`: a value of type .* has no stable content: {why}"
    with pytest.raises(UnstableValueError, match=expected):
        pset_key({"a": value})
    with pytest.raises(UnstableValueError, match=expected):
        Param(a=[[value]] * 20).pset_keys()
    if hasattr(value, "close"):
        value.close()


def test_what_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(UnstableValueError, match=r"Parameter `a`: .* contains itself"):
        pset_key({"a": loop})


def test_errors_of_the_pickling_code_of_others_are_refusals():
    class Odd:
        def __reduce__(self):
            raise ZeroDivisionError("odd")

    with pytest.raises(PsyflowError, match=r"Parameter `a`: .* cannot be pickled \(odd\)"):
        pset_key({"a": Odd()})


def test_the_state_of_the_global_generator_has_no_part_in_keys():
    # SciPy's distributions hold it.
    before = key(np.random.mtrand._rand), key(np.random.normal)
    np.random.random()
    assert (key(np.random.mtrand._rand), key(np.random.normal)) == before
    assert before[0] != key(np.random.RandomState(1)) != key(np.random.RandomState(2))


IN_ANOTHER_PROCESS = """
import json, sys, types
from psyflow.pspace.keys import pset_key
study = sys.modules["study"] = types.ModuleType("study")
code, expressions = json.load(sys.stdin)
exec(code, study.__dict__)
print(json.dumps({e: f"{pset_key({'a': eval(e, study.__dict__)}):032x}" for e in expressions}))
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_keys_are_those_of_any_other_process(study, hash_seed):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    said = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        input=json.dumps([_top_of_study(), list(golden)]),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    here = {expression: key(value) for expression, value in _values(study).items()}
    assert json.loads(said.stdout) == here


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=3),
)
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner), max_leaves=4)
PLAIN = st.recursive(
    st.one_of(ATOMS, st.frozensets(HASHABLE, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers(0, 3)), inner, max_size=3),
    ),
    max_leaves=8,
)


def canonical(value):
    """Return what the rule says of a plain value, in values that Python compares."""
    match value:
        case bool() | None:
            return "single", value
        case int() | float():
            return "number", value
        case str() | bytes():
            return type(value).__name__, value
        case list() | tuple():
            return "list", tuple(map(canonical, value))
        case frozenset():
            return "set", frozenset(map(canonical, value))
    return "dict", frozenset((canonical(k), canonical(v)) for k, v in value.items())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLAIN, PLAIN)
def test_keys_are_equal_just_where_the_rule_says_so(left, right):
    # Values of the one kind: equal ones need an equal chance.
    for a, b in ((left, right), (left, left), ([left], (left,))):
        assert (key(a) == key(b)) == (canonical(a) == canonical(b))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PLAIN, max_size=40))
def test_columns_of_any_plain_values_have_the_keys_of_the_values(values):
    assert [key_hex(k) for k in column_keys({"a": values}, len(values))] == list(map(key, values))


class Metal(np.ndarray):
    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", "kg")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0, max_side=3)))
def test_arrays_of_a_class_of_their_own_are_no_plain_ones(array):
    own, other = array.view(Metal), array.view(Metal)
    assert key(own) == key(other) != key(array)
    other.unit = "g"
    assert key(own) != key(other)
    column = [own, other] * 10
    assert [key_hex(k) for k in column_keys({"a": column}, 20)] == list(map(key, column))


Pair = collections.namedtuple("Pair", "x y")


def test_psets_of_named_tuples_of_another_class_are_others():
    twin = collections.namedtuple("Twin", "x y")
    twin.__module__, globals()["Twin"] = __name__, twin
    keys = Param(prior=[Pair(0, 1), twin(0, 1), (0, 1)]).pset_keys()
    assert len({key_hex(k) for k in keys}) == 3


def test_named_tuples_are_no_dict_of_their_fields_in_spaces():
    pairs = list(itertools.pairwise([Pair(1, 2), Pair(1.0, 2), Pair(2, 1)]))
    assert [key(a) == key(b) for a, b in pairs] == [True, False]
