"""Language models as ONNX files, for runtimes without torch."""
