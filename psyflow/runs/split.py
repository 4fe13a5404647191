"""The step before the evaluation: the batches of items that process jobs draw from."""

from __future__ import annotations

import numpy as np

from psyflow.backend import Backend
from psyflow.messages import counted
from psyflow.record.plan import Plan, save_items
from psyflow.system.files import keep_copy, make_folder, synced_together
from psyflow.system.reading import ask_again
from psyflow.work.capture import say

__all__ = ["split"]


def split(plan: Plan, backend: Backend) -> None:
    """Write the batches of items that the process jobs draw from."""
    file = plan.frozen.pending
    pending = ask_again(lambda: np.load(file, mmap_mode="r"), file)
    batches = backend.batches(pending, plan.n_jobs)
    with synced_together():
        make_folder(plan.frozen.batch(0).parent)
        make_folder(plan.frozen.leases)
        for number, batch in enumerate(batches):
            if len(batch) == len(pending) and np.array_equal(batch, pending):
                # Nobody changes either, so one file will do.
                keep_copy(file, plan.frozen.batch(number))
            else:
                save_items(plan.frozen.batch(number), batch)
            make_folder(plan.frozen.claims(number))
    say(f"{counted(len(pending), 'item')} in {counted(len(batches), 'batch', 'batches')}.")
