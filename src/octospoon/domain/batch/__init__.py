"""How a labelling batch is chosen."""
