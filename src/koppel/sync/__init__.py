"""The shell: read, plan, apply, record."""
