"""Spikes and networks from other people's tools: PyTorch models (SpikingJelly, snnTorch) and NIR graphs become Traces.

The rest of hwsim knows nothing of these tools; torch and nir load inside the functions that need them. A torch capture
records what the model did (geometry and spikes, no weights): it replays open loop. A NIR graph becomes an integer Network
whose spikes hwsim computes itself: it replays closed loop and every spike is compared. Recordings of event cameras become
inputs of both. docs/capture.md says what is refused.
"""

from __future__ import annotations

from hwsim.capture.errors import CaptureError
from hwsim.capture.events import EventPlanes, event_planes
from hwsim.capture.nir_graph import capture_nir, from_nir
from hwsim.capture.torch_model import capture_torch

__all__ = ["CaptureError", "EventPlanes", "capture_nir", "capture_torch", "event_planes", "from_nir"]
