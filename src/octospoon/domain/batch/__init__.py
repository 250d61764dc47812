"""The choice of a labelling batch."""
