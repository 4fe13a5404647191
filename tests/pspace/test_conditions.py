import math

import numpy as np
import pytest

from psyflow.exceptions import UnknownColumnError, UsageError
from psyflow.pspace.conditions import Condition, rows_with

TABLE = {
    "a": np.array([1, 2, 3, 2]),
    "b": [0.5, None, math.nan, 2.0],
    "mode": np.array(["slow", "fast", "slow", "x=1"]),
    "v": [[1, 2], [2], [1, 2], []],
}


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        (["a=2"], [1, 3]),
        (["a==2.0"], [1, 3]),
        (["a != 2"], [0, 2]),
        (["a>=2", "b>1"], [3]),
        (["b<1e3"], [0, 3]),
        (["b=nan"], [2]),
        (["b=None"], [1]),
        (["mode=slow"], [0, 2]),
        (["mode='fast'"], [1]),
        (["mode=x=1"], [3]),
        (["mode>2"], []),
        (["v=[1, 2]"], [0, 2]),
        ([], [0, 1, 2, 3]),
    ],
)
def test_conditions_select_rows(texts: list[str], rows: list[int]) -> None:
    assert rows_with([Condition.parse(text) for text in texts], TABLE).tolist() == rows


def test_a_name_that_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(UnknownColumnError, match="mode"):
        rows_with([Condition.parse("mod=slow")], TABLE)


@pytest.mark.parametrize("text", ["a", "=2", "", "<"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no condition"):
        Condition.parse(text)
