"""What psyflow promises: these names, and no others. Whatever else a module holds is private.

A name that comes or goes here is a decision, to be told in ``CHANGELOG.md``.
"""

from __future__ import annotations

import importlib
import inspect

import pytest

PUBLIC = {
    "psyflow": """
        AutodetectStore DefaultStore DistributeBackend H5Store ImmediateRun LoadBalancingBackend
        NpzStore Param ParameterSpace PickleStore Skip Slurm Sqsub __version__ arange geom igeom
        linspace load logspace map_pspace map_pspace_hdd_backed map_pspace_parallel missing sweep
    """,
    "psyflow.backend": "Backend DefaultBackend DistributeBackend LoadBalancingBackend",
    "psyflow.columns": """
        Column Columns Numbers concatenate cut from_rows pack pack_numbers table_length take
        unpacked without
    """,
    "psyflow.exceptions": """
        AmbiguousOperationError DamagedFileError DamagedShardWarning DrawnAnewWarning HostWarning
        IneffectiveExcludeWarning ItemsFailedError JobsRunningWarning LaterFormatError
        MissingFileError NotWrittenError PsyflowError PsyflowWarning RaggedColumnWarning
        RunHeldError SchedulerError SeededOnceWarning Skip StoreError TaskFileError
        TaskLoadWarning TaskWarning TaskWorkdirDirtyWarning UnknownColumnError UnknownNameError
        UnknownSettingWarning UnmakeableValuesError UnreadableError UnstableValueError
        UnsupportedDataError UntrustedFileError UsageError did_you_mean
    """,
    "psyflow.main": "main psy_main",
    "psyflow.mapper": "get_result map_pspace map_pspace_hdd_backed map_pspace_parallel",
    "psyflow.pspace": """
        AmbiguousOperationError Difference Param ParameterSpace Product Sum arange dict_concat
        geom igeom linspace logspace missing sweep
    """,
    "psyflow.results": "Results load",
    "psyflow.scheduler": """
        BatchScheduler GridEngine HyperQueue ImmediateRun JobId JobStatus LSF PBS Scheduler Slurm
        Sqsub Ssh SubmitRequest scheduler_by_name scheduler_names
    """,
    "psyflow.store": """
        AutodetectStore DefaultStore H5Store NpzStore PickleStore Store as_store known_extensions
        store_for
    """,
    "psyflow.tasks": """
        Config PackageLoader REQUIRED Setting TASK_PREFIX TaskDef streams_of takes_context
    """,
    "psyflow.testing": "FakeSlurm SchedulerTests StoreTests",
    "psyflow.utils.example": "square",
}
OF_AUTHORS = {
    "psyflow.store.base": "Store as_loaded_table as_table one_row reading saving",
    "psyflow.testing.schedulers": "SchedulerTests",
}
"""What authors of plugins also use, as `docs/` tells; the rest of these modules is private."""


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module].split())


@pytest.mark.parametrize("module", [*PUBLIC, *OF_AUTHORS])
def test_every_public_name_is_there_and_says_what_it_is_for(module: str) -> None:
    home = importlib.import_module(module)
    for name in {**PUBLIC, **OF_AUTHORS}[module].split():
        thing = getattr(home, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{module}.{name} has no docstring"
