"""What executes a trained model: eager PyTorch, ONNX Runtime, OpenVINO."""
