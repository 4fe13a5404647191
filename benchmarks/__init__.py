"""Benchmarks of psyflow and its peers; see README.md."""
