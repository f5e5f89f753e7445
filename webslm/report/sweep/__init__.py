"""Sweeps beside Hydra: names and records of jobs, how many at once, the sweep's report."""
