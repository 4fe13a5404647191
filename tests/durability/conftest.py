from __future__ import annotations

from tests.run.conftest import Study, study

__all__ = ["Study", "study"]
