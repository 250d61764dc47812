"""Transforms ONNX graphs from elsewhere."""
