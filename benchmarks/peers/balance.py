"""Sleep for given seconds in a pool of two, one item at a time."""

import json
import multiprocessing
import sys
import time
from pathlib import Path


def main():
    durations = json.loads(Path(sys.argv[1]).read_text())
    with multiprocessing.Pool(2) as pool:
        for _ in pool.imap_unordered(time.sleep, durations, chunksize=1):
            pass


if __name__ == "__main__":
    main()
