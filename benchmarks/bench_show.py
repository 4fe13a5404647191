"""`psy show` and `psy query` of a large result."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import study

_TASK = """\
from psyflow import H5Store, Param

pspace = Param(a=range(1000)) * Param(b=range({n}))
pool_size = 2
store = H5Store()


def execute(a, b):
    return {{"y": a * 0.3 + b}}
"""
_ASKED = "SELECT a, avg(y) FROM study GROUP BY a ORDER BY a"
_BY_HAND = """\
import duckdb, tables
with tables.open_file("psy-work/study/result.h5") as file:
    group = file.get_node("/psyflow")
    study = {name: group._f_get_child(name)[:] for name in ("a", "y")}
connection = duckdb.connect()
connection.register("study", study)
print(connection.execute("SELECT a, avg(y) FROM study GROUP BY a ORDER BY a").fetchall()[:3])
"""


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    folder = study(environment, "show", _TASK.format(n=n // 1000))
    measured(Contender([[environment.psy, "run"]], folder))
    contenders = {
        "show": Contender([[environment.psy, "show", "study"]], folder),
        "query": Contender([[environment.psy, "query", _ASKED]], folder),
        "duckdb": Contender([[environment.python, "-c", "import duckdb"]], folder),
        "by hand": Contender([[environment.python, "-c", _BY_HAND]], folder),
    }
    samples = interleaved(contenders, environment.repeats(7))
    show, query, duckdb = samples["show"], samples["query"], samples["duckdb"]
    what = f"psy show, {n} rows, H5Store"
    yield Figure(what, seconds(show.wall, show.cpu), show.wall, "s", 0.5)
    yield Figure(f"{what}: peak", f"{show.peak_mb:.0f} MB", show.peak_mb, "MB", 200)
    yield Figure(
        f"psy query, group-by over {n} rows, H5Store, less importing duckdb",
        seconds(query.wall, query.cpu),
        query.wall - duckdb.wall,
        "s",
        0.5,
        "PyTables and DuckDB by hand, importing them included",
        seconds(samples["by hand"].wall, samples["by hand"].cpu),
        note=f"importing duckdb {seconds(duckdb.wall)}; peak {query.peak_mb:.0f} MB",
    )
