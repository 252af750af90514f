"""Business Central's tables and the pages that show them, as data, for whoever serves or writes such pages."""
