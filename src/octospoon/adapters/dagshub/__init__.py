"""DagsHub."""
