"""The simulated Dataverse Web API."""
