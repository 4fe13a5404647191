"""`imap` over generated psets: what its process needs at the most."""

import json
import sys

import psyflow

n = int(sys.argv[1])
psets = ({"x": x} for x in range(n))
total = sum(outcome.is_done for outcome in psyflow.imap(lambda x: {"y": x}, psets, pool_size=2))
assert total == n
print(json.dumps({"n": total}))
