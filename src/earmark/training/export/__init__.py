"""Export of checkpoints: ONNX encoders, their calibration, and embedders for evaluations."""
