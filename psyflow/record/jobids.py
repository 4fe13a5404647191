"""What the scheduler called the jobs that wrote shards."""

from __future__ import annotations

import functools
from pathlib import Path

from psyflow.record.jobs import Jobs
from psyflow.record.layout import Layout

__all__ = ["JobIds"]


class JobIds:
    """Finds the ids of process jobs; the record of jobs is read when the first is asked for.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def of(self, shard: Path) -> str:
        """Return the id of the job that wrote a shard, of an array that of the member; "" if none.

        A job on this host that goes by its process has none.
        """
        run_id, job = self._layout.run_id_of(shard), self._layout.job_of(shard)
        return self._ids.get((run_id, job), "")

    @functools.cached_property
    def _ids(self) -> dict[tuple[str, str], str]:
        submitted = [r for r in Jobs(self._layout).history() if r.jobid and r.first is not None]
        return {
            (record.run_id, str(job)): jobid
            for record in submitted
            for job, jobid in enumerate(record.member_ids, record.first or 0)
        }
