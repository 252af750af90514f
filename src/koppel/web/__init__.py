"""What Koppel serves over HTTP: webhooks of both systems, health, and metrics."""
