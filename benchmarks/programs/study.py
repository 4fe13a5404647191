"""A study of cheap psets, with ``psweep`` or ``psyflow.study``: prints what its parts took."""

import importlib
import json
import os
import sys
import uuid

import pandas

ps = importlib.import_module(sys.argv[1])
N_RUN, N_SKIP, N_ROWS = map(int, sys.argv[2:])


def square(pset):
    return {"y_": pset["x"] ** 2}


def timed(function, *arguments, **options):
    """Return the CPU seconds that a call takes, child processes included."""
    begin = sum(os.times()[:4])
    function(*arguments, **options)
    return sum(os.times()[:4]) - begin


def main():
    took = {}
    for poolsize in (None, 2):
        params = ps.plist("x", range(N_RUN))
        folder = f"run-{poolsize}"
        took[f"run {poolsize}"] = timed(ps.run, square, params, poolsize=poolsize, calc_dir=folder)
    params = ps.plist("x", range(N_SKIP))
    ps.run(square, params)
    took["skip"] = timed(ps.run, square, params, skip_dups=True)
    frame = pandas.read_pickle("calc/database.pk")
    frame = pandas.concat([frame] * -(-N_ROWS // N_SKIP), ignore_index=True)[:N_ROWS]
    frame["_pset_id"] = [str(uuid.uuid4()) for _ in range(N_ROWS)]
    frame.to_pickle("calc/database.pk")
    took["pandas"] = timed(lambda: pandas.read_pickle("calc/database.pk").to_pickle("copy.pk"))
    took["append"] = timed(ps.run, square, [{"x": -1}])
    print(json.dumps(took))


if __name__ == "__main__":
    main()
