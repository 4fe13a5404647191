"""One large array as a parameter: each evaluation has its own, the result has it once."""

from __future__ import annotations

import numpy as np

from tests.support.study import Study

BODY = """
import numpy as np
store = ".npz"
pspace = Param(x=range(6)) * Param(mesh=[np.arange(20_000.0)])
def execute(x, mesh):
    if x == {broken}:
        raise ValueError(x)
    mesh += x
    return {{"first": mesh[0], "last": mesh[-1]}}
"""


def test_a_fixed_array_is_stored_once_and_given_to_each(study: Study) -> None:
    study.task(BODY.format(broken=3))
    study.psy("run", code=1)
    assert list(study.load()["first"]) == [0, 1, 2, 4, 5]
    study.task(BODY.format(broken=9))
    study.psy("run", "-c")
    table = study.load()
    assert list(table["first"]) == list(range(6))
    assert list(table["last"]) == [19_999 + x for x in range(6)]
    assert np.array_equal(table["mesh"], [np.arange(20_000.0)] * 6)
    sizes = [file.stat().st_size for file in (study.folder / "psy-work" / "t").glob("*.npz")]
    assert len(sizes) == 2 and sum(sizes) < 200_000
