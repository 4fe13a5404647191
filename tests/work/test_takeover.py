"""What a job that has ended left of its claims."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from psyflow.outcomes.records import Failure, Rows
from psyflow.outcomes.shard import ShardWriter
from psyflow.system.owner import Owner
from psyflow.work.claims import ClaimLog
from psyflow.work.prepared import NO_RETRIES, Retries
from psyflow.work.takeover import Remains


def left_of(folder: Path, retries: Retries) -> list[int]:
    """Return what is left of a job with four items, of which the second has failed once."""
    leases, out = folder / "leases", folder / "out"
    for path in (leases, out):
        path.mkdir(parents=True)
    log = ClaimLog(folder / "log", 4)
    log.claim(Owner.here(), "run.0.first.0-0.rows", lambda n: n)
    # The same job once more: its first start must be over.
    for start in ("first", "second"):
        (leases / f"run.0.{start}").touch()
    with ShardWriter(out / "run.0.first.0-0.rows") as writer:
        begin = np.zeros(1)
        done = Rows(np.array([0]), {"y": [0]}, begin, begin, np.ones(1, np.int16), "here", 1)
        writer.write_rows(done)
        writer.write_failure(Failure(1, "error", "ValueError: no luck"))
    remains = Remains(log, np.arange(4), leases, out, retries)
    taken = remains.take(Owner.here(), "run.0.second.0-0.rows")
    return sorted(item for items in taken for item in items.tolist())


def test_an_attempt_that_was_to_be_followed_by_another_is_no_outcome(tmp_path: Path) -> None:
    assert left_of(tmp_path / "none", NO_RETRIES) == [2, 3]
    assert left_of(tmp_path / "one", Retries(1, {"error"})) == [1, 2, 3]
