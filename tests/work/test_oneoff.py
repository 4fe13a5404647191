"""What code asks for as it is loaded is seen, and then all is as it was."""

import os
import sys
import types

import pytest

from psyflow.work.oneoff import OneOffs

GETPID = os.getpid


@pytest.fixture
def mine(monkeypatch):
    """A module of the user's, which runs what it is given."""
    module = types.ModuleType("task_mine")
    monkeypatch.setitem(sys.modules, "task_mine", module)
    return module


def test_code_that_asks_for_nothing_leaves_all_as_it_was(mine):
    one_offs = OneOffs()
    exec("import os, random; N = 2", vars(mine))
    assert not one_offs.end()
    assert os.getpid is GETPID


def test_a_function_that_was_imported_by_its_name_is_given_back(mine):
    one_offs = OneOffs()
    exec("from os import getpid", vars(mine))
    assert not one_offs.end()
    assert mine.getpid is GETPID
    assert os.getpid is GETPID


def test_a_function_that_was_kept_and_replaced_is_given_back(mine, monkeypatch):
    monkeypatch.setattr(os, "getpid", GETPID)  # so that it is put back after the test
    one_offs = OneOffs()
    exec("import os; theirs = os.getpid; os.getpid = lambda: 7", vars(mine))
    one_offs.end()
    assert mine.theirs is GETPID
    assert os.getpid() == 7


def test_a_second_look_sees_what_is_asked_then(mine):
    OneOffs().end()
    one_offs = OneOffs()
    exec("import os; NAME = f'/tmp/{os.getpid()}'", vars(mine))
    assert one_offs.end()
