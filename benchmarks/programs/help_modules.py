"""Report what `psy --help` imports that it must not."""

import contextlib
import io
import json
import sys

from psyflow.main import psy_main

with contextlib.redirect_stdout(io.StringIO()):
    psy_main(["--help"])
heavy = [n for n in sys.modules if n in ("numpy", "tables", "joblib") or "task_study" in n]
print(json.dumps({"heavy": heavy}))
