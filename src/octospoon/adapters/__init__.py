"""Thin translations between the ports and the real services."""
