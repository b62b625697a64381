"""Benchmarks against peers: both sides in one run, interleaved, after a proof that they do the same work.

`table.py` is the one table of them, `run.py` runs one and writes its result.
"""
