"""How long operations on files take in a folder, each measured in a fraction of a second."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from psyflow.doctor.bearing import Latencies
from psyflow.system.files import sync_file, write_all
from psyflow.system.reading import read_whole

__all__ = ["measure"]

_SECONDS = 0.1
"""How long each is measured, about: there are ten of them."""
_TIMES = 50
_N_WRITERS = 8
_N_LISTED = 100
_ROWS = b"x" * 4096


def measure(folder: Path) -> Latencies:
    """Measure in an empty folder, which is full of files afterwards.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     latencies = measure(Path(folder))
    >>> min(vars(latencies).values()) > 0
    True
    """
    new = iter(range(1_000_000))
    made = [_made(folder, next(new)) for _ in range(3)]
    create = _median(lambda: made.append(_made(folder, next(new))))
    while len(made) < _N_LISTED:
        made.append(_made(folder, next(new)))
    linked = [path.with_name(f"{path.name}-again") for path in made]
    link, n_linked = _median_of_each(lambda i: os.link(made[i], linked[i]), len(made))
    remove, _ = _median_of_each(lambda i: linked[i].unlink(), n_linked)
    append, sync = _append_and_sync(folder / "rows")
    return Latencies(
        look=_median(lambda: made[0].exists() and (folder / f"none-{next(new)}").exists()) / 2,
        read=_median(lambda: read_whole(made[0])),
        create=create,
        link=link,
        remove=remove,
        touch=_median(lambda: os.utime(made[0])),
        append=append,
        sync=sync,
        listing=_median(lambda: list(folder.iterdir())),
        syncs_per_second=_syncs_per_second(folder),
    )


def _made(folder: Path, number: int) -> Path:
    path = folder / f"made-{number}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(fd, b"x" * 200)
    finally:
        os.close(fd)
    return path


def _median(do: Callable[[], object]) -> float:
    return _median_of_each(lambda i: do(), _TIMES)[0]


def _median_of_each(do: Callable[[int], object], n: int) -> tuple[float, int]:
    """Do something up to `n` times; return the median of how long that took, and how often."""
    took: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(took) < n and (len(took) < 2 or time.perf_counter() < end):
        begin = time.perf_counter()
        do(len(took))
        took.append(time.perf_counter() - begin)
    return statistics.median(took), len(took)


def _append_and_sync(path: Path) -> tuple[float, float]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        append: list[float] = []
        sync: list[float] = []
        end = time.perf_counter() + 2 * _SECONDS
        while len(sync) < 2 or (len(sync) < _TIMES and time.perf_counter() < end):
            begin = time.perf_counter()
            write_all(fd, _ROWS)
            middle = time.perf_counter()
            sync_file(fd)
            append.append(middle - begin)
            sync.append(time.perf_counter() - middle)
    finally:
        os.close(fd)
    return statistics.median(append), statistics.median(sync)


def _syncs_per_second(folder: Path) -> float:
    """Return how often this host brings files to the disk that several write at once."""
    begin = time.perf_counter()
    end = begin + 3 * _SECONDS

    def write(number: int) -> int:
        fd = os.open(folder / f"rows-{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            n_syncs = 0
            while n_syncs < 1 or time.perf_counter() < end:
                write_all(fd, _ROWS)
                sync_file(fd)
                n_syncs += 1
            return n_syncs
        finally:
            os.close(fd)

    with ThreadPoolExecutor(_N_WRITERS) as writers:
        n_syncs = sum(writers.map(write, range(_N_WRITERS)))
    return n_syncs / (time.perf_counter() - begin)
