"""What to synchronise, as data: the model, the files that say it, and the standard mappings."""
