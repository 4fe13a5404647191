"""Accepting results: those that are there count as what the present code gives."""

from __future__ import annotations

import dataclasses

import numpy as np

from psyflow.exceptions import UsageError
from psyflow.fingerprint import parts_to_json
from psyflow.record import refusals
from psyflow.record.accepted import accept_files, with_files_of_now
from psyflow.record.assess import Assessment
from psyflow.runs.begin import freeze
from psyflow.runs.run import Run

__all__ = ["accept"]


def accept(run: Run) -> list[str]:
    """Declare that the results that are there are what the present code gives.

    Returns
    -------
    list of str
        What they had been else; see `Assessment.acceptable`.

    Raises
    ------
    UsageError
        If there is nothing to accept.
    RunHeldError
        If somebody else holds the run.
    """
    run.take_hold()
    try:
        assessment = run.assess(verify=True)
        accepted = assessment.acceptable
        if assessment.plan is None and not assessment.n_of_unknown_code:
            raise UsageError(refusals.never_run(run.task))
        if assessment.n_of_unknown_code:
            _adopt(run, assessment)
        else:
            _accept(assessment)
        return accepted
    finally:
        run.release()


def _accept(assessment: Assessment) -> None:
    assert assessment.plan is not None
    accept_files(assessment)
    dataclasses.replace(
        with_files_of_now(assessment.plan, assessment),
        fingerprint=parts_to_json(assessment.task.fingerprint()),
        accepted=assessment.accepted(),
    ).write()


def _adopt(run: Run, assessment: Assessment) -> None:
    """Merge rows of unknown code anew as the present code's, which writes bookkeeping."""
    nothing = np.empty(0, dtype=np.int64)
    run.here.merge(freeze(run, assessment, run.task.pool_size, nothing))
