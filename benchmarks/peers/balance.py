"""Sleep for given seconds in a pool of two, one item at a time; report the makespan."""

import json
import multiprocessing
import sys
import time
from pathlib import Path


def item(seconds):
    begin = time.time()
    time.sleep(seconds)
    return begin, time.time()


def main():
    durations = json.loads(Path(sys.argv[1]).read_text())
    with multiprocessing.Pool(2) as pool:
        spans = list(pool.imap_unordered(item, durations, chunksize=1))
    makespan = max(end for _, end in spans) - min(begin for begin, _ in spans)
    print(json.dumps({"makespan": makespan}))


if __name__ == "__main__":
    main()
