"""What the use cases need from the outside world, as protocols.

Every method either does what it says or raises an error of `octospoon.domain.errors`.
"""
