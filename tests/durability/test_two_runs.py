"""Two `psy run` of one task at once, many times."""

from __future__ import annotations

import time

from tests.runs.test_faults import check_complete
from tests.support.study import Study

PAUSES = (0.0, 0.0, 0.0, 0.01, 0.1, 0.2)
BODY = """
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    time.sleep(0.005)
    return {{"y": x**2}}
"""


def test_two_runs_many_times(study: Study) -> None:
    done = 0
    n_refused = 0
    for pause in PAUSES:
        study.task(BODY.format(n=done + 2))
        first = study.start("run")
        time.sleep(pause)
        second = study.start("run")
        messages = [run.communicate(timeout=180)[1] for run in (first, second)]
        codes = {first.returncode, second.returncode}
        assert 0 in codes and codes <= {0, 3}, messages
        n_refused += 3 in codes
        assert 3 not in codes or any("is held by process" in message for message in messages), (
            messages
        )
        assert sorted(study.calls()) == sorted(f"[('x', {x})]" for x in range(done, done + 2))
        done += 2
    check_complete(study, done)
    assert n_refused > 0
