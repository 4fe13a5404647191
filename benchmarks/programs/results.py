"""What a table becomes, after it was loaded: seconds of each call, without imports."""

import json
import time

import xarray

import psyflow

table = psyflow.load("study")
# xarray imports whatever arrays there might be, as dask's, when it makes the first dataset.
psyflow.results.Results({"y": [1]}).to_xarray()
begin = time.perf_counter()
dataset = table.to_xarray()
made = time.perf_counter()
summary = table.summary(over="trial")
end = time.perf_counter()

assert isinstance(dataset, xarray.Dataset) and dataset["done"].all()
assert dict(dataset.sizes)["a"] == 100 and summary.n_rows == 10_000
print(json.dumps({"to_xarray": made - begin, "summary": end - made}))
