"""Record every request to LocalStack: who makes it, what is wrong with it, and which rights it needs.

No value of a request is recorded, except for the names of resources.
"""
