"""Settings, observability and the wiring of functions."""
