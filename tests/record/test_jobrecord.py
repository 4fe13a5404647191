"""Which answers of a scheduler are about the recorded job."""

from __future__ import annotations

import pytest

from psyflow.record.jobrecord import JobRecord
from psyflow.scheduler.base import JobStatus
from psyflow.scheduler.names import from_name, marked, new_mark, shortened, to_name

LONG = f"{'everything' * 30}:process"


def is_believed(record: JobRecord, name: str) -> bool:
    return record.is_in(JobStatus("7", "R", name))


@pytest.mark.parametrize("name", ["t:process", "2nd try:process", LONG, "ü" * 150 + ":process"])
@pytest.mark.parametrize("told", [str, to_name, lambda n: from_name(to_name(n))])
def test_marked_name_is_known_however_a_cluster_changes_it(name, told):
    record = JobRecord("r", "process:0-3", "7", name=name, mark=new_mark())
    full = marked(name, record.mark)
    for shown in (told(full), f"{told(full)}:3", shortened(full, 40)):
        assert is_believed(record, shown)
        assert record.mark not in record.readable(JobStatus("7_3", "R", shown)).name
    assert not is_believed(record, told(marked(name, new_mark())))
    assert not is_believed(record, told(name))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("t:process", True),
        ("t:process:3", True),
        ("t=process", True),
        ("t:process:x", False),
        ("t:proces", False),
        ("u:process", False),
        ("", False),
    ],
)
def test_name_without_a_mark_has_to_be_the_whole_name(told, expected):
    assert is_believed(JobRecord("r", "process:0-3", "7", name="t:process"), told) is expected


def test_long_name_of_old_is_known_by_its_beginning():
    record = JobRecord("r", "process:0-3", "7", name=LONG)
    assert is_believed(record, LONG[:40])
    assert not is_believed(record, "x" + LONG[:40])


def test_marks_differ():
    assert len({new_mark() for _ in range(5)}) == 5
