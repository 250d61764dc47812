"""Transform imported ONNX graphs."""
