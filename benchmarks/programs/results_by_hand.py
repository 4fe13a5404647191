"""The same of a table as one would do it with pandas and xarray."""

import json
import time

import pandas
import xarray

import psyflow

frame = pandas.DataFrame(psyflow.load("study"))
# xarray imports whatever arrays there might be, as dask's, when it makes the first dataset.
xarray.Dataset({"y": ("a", [1])}, {"a": [1]})
begin = time.perf_counter()
dataset = frame.set_index(["a", "b", "trial"]).to_xarray()
made = time.perf_counter()
summary = frame.groupby(["a", "b"])[["y", "z"]].agg(["mean", "sem", "count"])
end = time.perf_counter()

assert isinstance(dataset, xarray.Dataset) and len(summary) == 10_000
print(json.dumps({"to_xarray": made - begin, "summary": end - made}))
