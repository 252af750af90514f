"""Koppel keeps Dynamics 365 Business Central and Dynamics 365 Sales on Dataverse in step."""

__version__ = "0.1.0"
