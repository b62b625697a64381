"""Grids of configs, run and compared; seeds are an axis of every one."""
