from __future__ import annotations

from tests.run.conftest import study
from tests.support.study import Study

__all__ = ["Study", "study"]
