"""Call the function N times, and report the seconds it took."""

import json
import sys
import time


def square(x):
    return {"y": x**2}


begin = time.perf_counter()
for x in range(int(sys.argv[1])):
    square(x=x)
print(json.dumps({"seconds": time.perf_counter() - begin}))
