"""The simulated Dataverse Web API: one organisation, served by an ASGI application."""

from koppel.sandbox.dataverse.app import dataverse_app
from koppel.sandbox.dataverse.service import Caller, Dataverse, create_dataverse

__all__ = ["Caller", "Dataverse", "create_dataverse", "dataverse_app"]
