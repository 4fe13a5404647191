"""What psyflow promises: these names, and no others. Whatever else a module holds is private.

A name that comes or goes here is a decision, to be told in ``CHANGELOG.md``.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

PUBLIC = {
    "psyflow": """
        AutodetectStore Command DefaultStore DistributeBackend H5Store ImmediateRun
        LoadBalancingBackend NpzStore Param ParameterSpace Parse PickleStore Skip Slurm Sqsub
        __version__ arange folder geom igeom imap linspace load logspace map map_pspace
        map_pspace_hdd_backed map_pspace_parallel missing run sweep
    """,
    "psyflow.backend": "Backend DefaultBackend DistributeBackend LoadBalancingBackend",
    "psyflow.columns": """
        Column Columns Numbers concatenate cut from_rows pack pack_numbers table_length take
        unpacked without
    """,
    "psyflow.engine": "Engine copy_outputs logger redirect_outputs slugify",
    "psyflow.exceptions": """
        AmbiguousOperationError CommandFailedError CommandWarning DamagedFileError
        DamagedShardWarning DrawnAnewWarning HostWarning IneffectiveExcludeWarning
        ItemsFailedError JobsRunningWarning LaterFormatError MapInterrupted
        MissingFileError NotWrittenError ParseError PsyflowError PsyflowWarning RaggedColumnWarning
        RunHeldError SchedulerError SeededOnceWarning Skip StoreError TaskFileError
        TaskLoadWarning TaskWarning TaskWorkdirDirtyWarning UnknownColumnError UnknownNameError
        UnknownSettingWarning UnmakeableValuesError UnreadableError UnstableValueError
        UnsupportedDataError UntrustedFileError UsageError did_you_mean
    """,
    "psyflow.main": "main psy_main",
    "psyflow.mapper": """
        Outcome get_result imap map map_pspace map_pspace_hdd_backed map_pspace_parallel
    """,
    "psyflow.pspace": """
        AmbiguousOperationError Difference Param ParameterSpace Product Sum arange dict_concat
        geom igeom linspace logspace missing sweep
    """,
    "psyflow.results": "Results folder load",
    "psyflow.scheduler": """
        BatchScheduler Dask Executor Flux GridEngine HyperQueue ImmediateRun JobId
        JobStatus LSF OAR PBS Ray Scheduler Slurm Sqsub Ssh SubmitRequest scheduler_by_name
        scheduler_names
    """,
    "psyflow.store": """
        AutodetectStore DefaultStore H5Store NpzStore PickleStore Store as_store known_extensions
        store_for
    """,
    "psyflow.sweeper": "HashableDict ParamSweeper geom igeom sweep sweep_stats",
    "psyflow.study": """
        PsweepHashError check_calc_dir df_extract_dicts df_extract_params df_extract_pset
        df_filter_conds df_print df_read df_write filter_cols filter_params_dup_hash
        filter_params_unique filter_same_hash flatten_dict intspace itr2params logspace merge_dicts
        pgrid plist prep_batch pset_hash run run_local stargrid
    """,
    "psyflow.survey": """
        MapResults backend current_core_count current_resources finalize init map params stats
        utils
    """,
    "psyflow.survey.params": "add_column product",
    "psyflow.survey.stats": "PerfStats record_iowait record_wallclock",
    "psyflow.survey.utils": "flatten_results subprocess_run_worker vmem",
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

WITHOUT_EXAMPLE = {"psyflow.main.main": "it ends the process; `psy_main` has the example"}
"""What has no example, and why. Errors and warnings need none: they say what to do."""

each_module = pytest.mark.parametrize("module", [*PUBLIC, *OF_AUTHORS])


def own_things(module: str, *, raised: bool) -> Iterator[tuple[str, Any, str]]:
    """Yield the public classes and functions of a module: name, thing, and docstring.

    Exceptions and warnings if `raised`, else all others. What has its name from elsewhere, as
    `JobId`, which is ``str``, has its docstring from there.
    """
    home = importlib.import_module(module)
    for name in {**PUBLIC, **OF_AUTHORS}[module].split():
        thing = getattr(home, name)
        is_class = inspect.isclass(thing)
        is_raised = is_class and issubclass(thing, BaseException)
        is_own = is_class or inspect.isfunction(thing)
        if is_own and is_raised is raised and thing.__module__.startswith("psyflow"):
            yield f"{module}.{name}", thing, inspect.cleandoc(thing.__doc__ or "")


def section(doc: str, title: str) -> str:
    found = re.search(rf"(?ms)^{title}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", doc)
    return found[1] if found else ""


def told_parameters(doc: str) -> set[str]:
    lines = f"{section(doc, 'Parameters')}\n{section(doc, 'Attributes')}".splitlines()
    heads = [line.partition(" : ")[0] for line in lines if line[:1].strip()]
    return {name.strip(" *") for head in heads for name in head.split(",")}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module].split())


@each_module
def test_every_public_name_is_there_and_says_what_it_is_for(module: str) -> None:
    home = importlib.import_module(module)
    for name in {**PUBLIC, **OF_AUTHORS}[module].split():
        thing = getattr(home, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{module}.{name} has no docstring"


@each_module
def test_every_public_name_has_an_example(module: str) -> None:
    """All examples run as doctests; one that is left out there counts as none."""
    lacking = [
        name
        for name, _, doc in own_things(module, raised=False)
        if not re.search("(?m)^>>> ", section(doc, "Examples")) or "doctest: +SKIP" in doc
    ]
    assert lacking == [name for name in WITHOUT_EXAMPLE if name.rpartition(".")[0] == module]


def names_from_elsewhere(example: str) -> set[str]:
    """Return the names that code uses, and neither makes nor imports."""
    used, known = set(), set(dir(builtins))
    for node in ast.walk(ast.parse(example)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.alias(name=name, asname=other):
                known.add(other or name.partition(".")[0])
            case ast.Name(id=name) | ast.arg(arg=name):
                known.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                known.add(name)
    return used - known


@each_module
def test_examples_run_where_nothing_else_is_imported(module: str) -> None:
    """As doctests they have what their module has; who copies one has not."""
    for name, thing, doc in own_things(module, raised=False):
        code = "".join(part.source for part in doctest.DocTestParser().get_examples(doc))
        assert names_from_elsewhere(code) <= {thing.__name__, "np"}, name


@each_module
def test_every_parameter_is_told(module: str) -> None:
    untold = {}
    for name, thing, doc in [
        *own_things(module, raised=False),
        *own_things(module, raised=True),
    ]:
        if inspect.isfunction(thing) or not vars(thing).keys().isdisjoint({"__init__", "__new__"}):
            untold[name] = set(inspect.signature(thing).parameters) - told_parameters(doc)
    assert {name: parameters for name, parameters in untold.items() if parameters} == {}


@each_module
def test_every_error_and_warning_says_when_and_what_to_do(module: str) -> None:
    for name, _, doc in own_things(module, raised=True):
        _, _, more = doc.partition("\n\n")
        assert more and not re.match(r"\w+\n-+\n", more), f"{name} says only what it is"
