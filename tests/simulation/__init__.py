"""Whole runs of Koppel, made up from a seed: mappings, people, faults, crashes, and what must hold after all.

``make simulate SEEDS=1000`` plays the first thousand seeds, ``make simulate SEED=17`` that one again.
"""
