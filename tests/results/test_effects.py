from __future__ import annotations

import numpy as np
import pytest

from psyflow.exceptions import UsageError
from psyflow.results import Results
from psyflow.results.effects import effects


def product(**levels) -> dict[str, np.ndarray]:
    grids = np.meshgrid(*levels.values(), indexing="ij")
    return {name: grid.ravel() for name, grid in zip(levels, grids, strict=True)}


def shares(columns, y) -> dict[str, float]:
    table = effects(Results(columns | {"y": y}, parameters=list(columns)), "y").table
    return dict(zip(table["effect"].tolist(), table["share"].tolist(), strict=True))


def test_of_a_product_shares_are_sobol_indices_and_add_up():
    columns = product(a=np.arange(4.0), b=np.arange(3.0), c=np.arange(2.0))
    a, b, c = columns.values()
    found = shares(columns, a + 2 * b + (a - 1.5) * (c - 0.5))
    parts = {"a": np.var(a), "b": np.var(2 * b), "a × c": np.var((a - 1.5) * (c - 0.5))}
    total = sum(parts.values())
    for name, share in found.items():
        assert share == pytest.approx(parts.get(name, 0.0) / total, abs=1e-12)
    assert sum(found.values()) == pytest.approx(1)


def test_three_together_are_in_the_rest():
    columns = product(a=[-1, 1], b=[-1, 1], c=[-1, 1])
    found = shares(columns, columns["a"] * columns["b"] * columns["c"])
    assert found["the rest"] == pytest.approx(1)


def test_levels_may_be_of_any_kind():
    levels = ["x", None, float("nan"), (1, 2), [3]]
    columns = {"a": levels * 2, "b": [True] * 5 + [False] * 5}
    found = shares(columns, np.array([0.0, 1, 2, 3, 4] * 2))
    assert found["a"] == pytest.approx(1) and found["b"] == 0


def test_repetitions_and_what_does_not_vary_are_no_parameters():
    columns = product(a=[0, 1], repeat=np.arange(3), c=[5])
    found = shares(columns, columns["a"] + columns["repeat"] * 0.1)
    assert set(found) == {"a", "the rest"}


def test_chance_explains_what_noise_has():
    columns = product(a=np.arange(10), b=np.arange(10))
    noise = np.random.default_rng(1)
    table = Results(columns | {"y": np.zeros(100)}, parameters=["a", "b"])
    found = []
    for _ in range(200):
        table["y"] = noise.normal(size=100)
        alone = effects(table, "y").table
        row = alone["effect"].tolist().index("a")
        found.append(alone["share"][row])
        assert alone["by_chance"][row] == pytest.approx(9 / 99)
    assert np.mean(found) == pytest.approx(9 / 99, rel=0.1)


def test_parameters_that_go_together_are_told():
    columns = {"a": [0, 0, 0, 1], "b": [0, 0, 1, 1], "y": [0.0, 1.0, 2.0, 3.0]}
    found = effects(Results(columns, parameters=["a", "b"]), "y")
    assert found.notes[0].startswith("a and b do not vary independently")
    balanced = {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1], "y": [0.0, 1.0, 2.0, None]}
    found = effects(Results(balanced, parameters=["a", "b"]), "y")
    assert found.notes[0] == '1 rows without "y" do not count.'


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros((4, 2)), "not one number"),
        (["x"] * 4, "not one number"),
        ([1.0] * 4, "does not vary"),
        ([np.inf, 1.0, 2.0, 3.0], "infinite"),
        ([np.nan] * 4, "does not vary"),
    ],
)
def test_what_has_no_variance_is_refused(y, said):
    with pytest.raises(UsageError, match=said):
        effects(Results({"a": [1, 2, 3, 4], "y": y}, parameters=["a"]), "y")
