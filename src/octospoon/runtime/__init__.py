"""Settings, observability and the one composition root."""
