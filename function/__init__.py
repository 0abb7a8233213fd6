"""The light core and its HTTP surface."""

import os

# onnxruntime's wheels report what they run to their maker, from a thread that starts at import
# and does not survive gunicorn's fork: workers hang or abort. Nothing here calls the network.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
