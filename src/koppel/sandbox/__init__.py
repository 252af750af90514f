"""Two simulated systems that behave like the real ones, to test mappings against."""
