"""octospoon: event-driven active learning for images, on AWS Lambda."""

__version__ = "0.1.0"
