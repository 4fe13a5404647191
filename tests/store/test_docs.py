"""The examples of docs/stores.md."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "stores.md"


def test_examples_give_what_they_say():
    done = doctest.testfile(str(DOCS), module_relative=False)
    assert done.attempted > 10
    assert done.failed == 0


def test_store_of_your_own_passes_the_suite(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "test_json_store.py").write_text("\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
