import function  # noqa: F401  (first of all: it switches onnxruntime's telemetry off)
