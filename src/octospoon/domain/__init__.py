"""The rules of active learning: numpy and the standard library only, no AWS, no HTTP, no clock, no files."""
