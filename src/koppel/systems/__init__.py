"""HTTP clients of both systems."""
