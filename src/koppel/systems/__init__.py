"""The HTTP clients of both systems. They know tables and rows, but no mappings."""
