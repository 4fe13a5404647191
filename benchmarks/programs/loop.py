"""Call the function N times, and report the seconds it took, also of CPU."""

import json
import sys
import time


def square(x):
    return {"y": x**2}


begin, cpu = time.perf_counter(), time.process_time()
for x in range(int(sys.argv[1])):
    square(x=x)
end, cpu = time.perf_counter(), time.process_time() - cpu
print(json.dumps({"seconds": end - begin, "cpu": cpu}))
