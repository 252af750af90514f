"""The AL extension that gives the real Business Central the companion pages, for what the mappings in use need."""

from koppel.companion.extension import Extension, extension_for
from koppel.companion.folder import Written, write_extension
from koppel.companion.used import uses_of

__all__ = ["Extension", "Written", "extension_for", "uses_of", "write_extension"]
