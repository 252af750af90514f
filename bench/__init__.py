"""Benchmarks: ``python -m bench`` measures, prints a table, and writes ``RESULTS.md``."""
