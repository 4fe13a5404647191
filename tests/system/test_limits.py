"""Numerical libraries of a process that forks jobs, and of these."""

import pytest

from psyflow.system import limits


class Library:
    """One that is loaded, as threadpoolctl has it."""

    internal_api = "openblas"
    filepath = "/lib/libopenblas.so"

    def __init__(self) -> None:
        self.num_threads = 8
        self.was_set: list[int] = []

    def set_num_threads(self, number: int) -> None:
        self.num_threads = number
        self.was_set.append(number)


@pytest.fixture
def library(monkeypatch):
    """The only one, in a process that forks jobs."""
    loaded = Library()
    monkeypatch.setattr(limits, "libraries_at_start", lambda: [loaded])
    monkeypatch.setattr(limits, "_set_aside", {})
    limits.need_no_threads()
    loaded.was_set.clear()
    return loaded


@pytest.mark.parametrize("number", ["3", "8"])
def test_a_job_has_as_many_threads_as_its_environment_says(library, number):
    limits.limit_loaded_libraries({"OMP_NUM_THREADS": number}, [library])
    assert library.was_set == [int(number)]


def test_the_number_is_not_set_where_it_is_right(library):
    # For that alone, OpenBLAS makes its threads, which wait by going round.
    limits.limit_loaded_libraries({"OMP_NUM_THREADS": "1"}, [library])
    assert library.was_set == []


def test_where_nobody_says_a_number_a_job_has_as_many_as_there_were(library):
    limits.limit_loaded_libraries({"OMP_NUM_THREADS": "4,2"}, [library])
    assert library.was_set == [8]
