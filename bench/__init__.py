"""Measurements. `python -m bench` lists them, `python -m bench NAME` runs one and writes `bench/results/NAME.md`.

Ratios are measured side by side in one run, medians of several: the machines are shared and noisy.
"""
