"""The ONNX models that ship with earmark, and how they are loaded and calibrated."""
