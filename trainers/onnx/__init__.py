"""Networks as ONNX files: exported, quantized to int8, and timed."""
