"""Studies with a real torch: run them where it is installed (``pip install torch``, 5 GB).

CI does without: an environment of that size would take it longer than all other tests of a room.
"""

from __future__ import annotations

import pytest

from tests.support.study import Study

torch = pytest.importorskip("torch")

GLOBALLY = """
import torch
pspace = Param(trial=range({n}))
{settings}
def execute(trial):
    return {{"y": float(torch.rand(1))}}
"""
THREADED = """
import torch
big = torch.ones(600, 600)
n_before = float((big @ big).sum())
pspace = Param(factor=[1.0, 2.0, 3.0, 4.0])
pool_size = 2
timeout = 60
def execute(factor):
    torch.set_num_threads(2)
    return {"same": float((big @ big).sum()) == n_before}
"""
TENSORS = """
import torch
from torch import nn
pspace = (
    Param(start=[torch.zeros(2), torch.ones(2){more}])
    * Param(dtype=[torch.float32, torch.float64], layer=nn.ReLU)
)
def execute(start, dtype, layer):
    note(start=start.tolist())
    weight = start.to(dtype).requires_grad_()
    loss = layer()(weight).sum()
    return {{"loss": loss, "weight": weight}}
"""
REFUSED = """
import torch
from psyflow.store.h5 import H5Store
{store}
pspace = Param(x=[1.0, 2.0])
def execute(x):
    note(x=x)
    return {{"loss": torch.tensor(x)}}
"""


def numbers(study: Study, n: int, settings: str) -> list[float]:
    study.task(GLOBALLY.format(n=n, settings=settings))
    study.psy("run")
    return list(study.load()["y"])


def test_numbers_of_one_seed_are_no_copies_of_each_other(study: Study) -> None:
    settings = "pool_size = 2\ntorch.manual_seed(0)"
    study.task(GLOBALLY.format(n=4, settings=settings))
    assert "`torch.manual_seed(0)` is not heeded" in study.psy("run").stderr
    assert len(set(numbers(study, 12, settings))) == 12


def test_numbers_depend_on_the_pset_alone_if_asked_for(study: Study) -> None:
    settings = "seed = 7\nseed_globals = True"
    first = numbers(study, 4, settings)
    assert len(set(first)) == 4
    assert numbers(study, 6, settings + "\npool_size = 3")[:4] == first


def test_workers_compute_with_threads_although_loading_has_begun_some(study: Study) -> None:
    study.task(THREADED)
    study.psy("run")
    assert list(study.load()["same"]) == [True] * 4


def test_tensors_and_what_torch_names_are_parameters_and_results(study: Study) -> None:
    study.task(TENSORS.format(more=""))
    study.psy("run")
    assert len(study.calls()) == 4
    study.task(TENSORS.format(more=", torch.full((2,), 3.0)"))
    study.psy("run")
    assert len(study.calls()) == 2
    found = study.load()
    assert sorted(loss.item() for loss in found["loss"]) == [0.0, 0.0, 2.0, 2.0, 6.0, 6.0]
    assert {weight.dtype for weight in found["weight"]} == {torch.float32, torch.float64}
    assert study.psy("run").stdout.count("--") == 3


def test_a_store_that_holds_no_tensors_says_so_and_keeps_them_for_one_that_does(
    study: Study,
) -> None:
    study.task(REFUSED.format(store="store = H5Store()"))
    study.psy("run", code=1)
    assert len(study.calls()) == 2
    assert "value of type Tensor" in study.psy("failures", "t").stdout
    study.task(REFUSED.format(store=""))
    study.psy("run")
    assert [float(loss) for loss in study.load()["loss"]] == [1.0, 2.0]
    assert not study.calls()
