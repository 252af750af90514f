"""Koppel's state in PostgreSQL: one module a noun, plain functions on a connection, SQL at the top of each."""
