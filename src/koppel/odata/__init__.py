"""The protocol as both ends speak it: filters, literals, schema (CSDL), batches. Knows neither client nor server."""
