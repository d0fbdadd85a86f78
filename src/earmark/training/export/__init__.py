"""From a checkpoint to an ONNX encoder, its calibration, and an embedder for evaluation."""
