"""Items that take long leave a small frame each, which their worker packs beside its shard."""

from __future__ import annotations

from tests.support.study import Study

SLOW = """
pool_size = 2
pspace = Param(x=range(50))
def execute(x):
    note(x=x)
    time.sleep(0.052)  # longer than rows wait to be written
    assert x != 7 or GATE.exists()
    return {"y": x * 0.5}
"""


def shards(study: Study, suffix: str) -> list[str]:
    return [path.name for path in study.work.glob(f"t/out/*{suffix}")]


def test_a_run_of_slow_items_from_begin_to_end(study: Study) -> None:
    study.task(SLOW)
    study.psy("run", code=1)
    packed = shards(study, ".rows.packed")
    assert {f"{name}.packed" for name in shards(study, ".rows")} == set(packed) != set()
    assert "49 out of 50" in study.psy("status").stdout
    assert study.rows() == [(x, x * 0.5) for x in range(50) if x != 7]
    study.open_gate()
    study.psy("run")
    assert len(study.calls()) == 51
    assert study.rows() == [(x, x * 0.5) for x in range(50)]
    assert not list(study.work.glob("t/out/*"))


def test_clean_takes_away_what_is_packed_too(study: Study) -> None:
    study.task("pspace = Param(x=range(2))\ndef execute(x):\n    return {'y': 1 / x}\n")
    study.psy("run", code=1)
    (shard,) = shards(study, ".rows")
    (study.work / "t" / "out" / f"{shard}.packed").touch()
    study.call("clean", "--yes", "t")
    assert not (study.work / "t").exists()
