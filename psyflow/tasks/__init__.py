"""Task files: the variables they may set, loading them, and finding them in a folder."""

from psyflow.tasks.arguments import streams_of, takes_context
from psyflow.tasks.config import REQUIRED, Config
from psyflow.tasks.loader import PackageLoader
from psyflow.tasks.settings import Setting
from psyflow.tasks.taskdef import TASK_PREFIX, TaskDef

__all__ = [
    "Config",
    "PackageLoader",
    "REQUIRED",
    "Setting",
    "TASK_PREFIX",
    "TaskDef",
    "streams_of",
    "takes_context",
]
