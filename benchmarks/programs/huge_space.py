"""Look into a product of 10⁹ psets; the longest of each look, in seconds, of fresh spaces."""

import json
import random
import time

from psyflow.pspace import Param

ROUNDS = 200


def product():
    names = "abc"
    a, b, c = (Param(**{name: range(1000)}) for name in names)
    return a * b * c


def timed(look):
    begin = time.perf_counter()
    look()
    return time.perf_counter() - begin


def main():
    draw = random.Random(0)
    times = {"len": [], "index": [], "slice": [], "rows": []}
    for _ in range(ROUNDS):
        space = product()
        i = draw.randrange(10**9 - 20)
        times["len"].append(timed(lambda space=space: len(space)))
        times["index"].append(timed(lambda space=space, i=i: space[i]))
        times["slice"].append(timed(lambda space=space, i=i: space[i : i + 10**6]))
        times["rows"].append(timed(lambda space=space, i=i: space[i : i + 10].build()))
    # The worst but the few that something else on the machine has held up.
    print(json.dumps({name: sorted(found)[-5] for name, found in times.items()}))


main()
