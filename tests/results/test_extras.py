"""What is said where a library is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from psyflow.exceptions import UsageError
from psyflow.results.extras import needed


@pytest.mark.parametrize(
    ("module", "extra"),
    [("polars", "polars"), ("h5py", "xarray"), ("duckdb", "query"), ("matplotlib.pyplot", "plot")],
)
def test_a_missing_library_is_one_line_with_the_command_that_installs_it(
    module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(UsageError) as caught:
        needed(module)
    message = str(caught.value)
    assert f"pip install 'psyflow[{extra}]'" in message and "\n" not in message
    assert "is not installed" in message


def test_a_library_that_lacks_another_one_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plotext", raising=False)
    (tmp_path / "plotext.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(UsageError, match=r"nowhere_to_be_found.*psyflow\[plot\]"):
        needed("plotext")
