"""Pure functions from what was read to what would be done: no I/O, no clock, no randomness."""
