"""Protocols for everything that the use cases need from the outside world.

Every method either succeeds or raises an error of `octospoon.domain.errors`.
"""
