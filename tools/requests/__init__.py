"""What the tests asked of AWS: counts, and the rights that this needs, against the template's policies."""
