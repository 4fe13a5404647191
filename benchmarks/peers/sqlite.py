"""What one writes by hand for items that take long: a row in SQLite for each.

python sqlite.py prepare N    # N rows, as such a script leaves them
python sqlite.py done         # which items are done, as a set
python sqlite.py rows         # all rows, in order, into an NPZ file
"""

import json
import sqlite3
import sys
import time

import numpy as np

COLUMNS = ("x", "y", "start", "duration", "worker")


def prepare(connection, n):
    connection.execute(f"CREATE TABLE rows (x INTEGER PRIMARY KEY, {', '.join(COLUMNS[1:])})")
    rows = ((x, x**2, x * 0.05, 0.05, "host 7") for x in range(n))
    connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()


def done(connection):
    return len({x for (x,) in connection.execute("SELECT x FROM rows")})


def rows(connection):
    found = zip(*connection.execute("SELECT * FROM rows ORDER BY x"), strict=True)
    columns = dict(zip(COLUMNS, map(np.array, found), strict=True))
    np.savez("rows.npz", **columns)
    return len(columns["x"])


def main():
    connection = sqlite3.connect("rows.sqlite")
    if sys.argv[1] == "prepare":
        prepare(connection, int(sys.argv[2]))
        return
    begin, cpu = time.perf_counter(), time.process_time()
    {"done": done, "rows": rows}[sys.argv[1]](connection)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


main()
