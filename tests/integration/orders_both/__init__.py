"""Sales orders that go both ways: whole runs."""
