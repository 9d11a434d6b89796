"""Spikes and networks from other people's tools become Traces: PyTorch models (SpikingJelly, snnTorch), NIR graphs, lava-dl.

The rest of hwsim knows nothing of these tools; torch, nir and h5py load inside the functions that need them. A torch capture
records what the model did (geometry and spikes, no weights): it replays open loop. A NIR graph or a network of lava-dl becomes an
integer Network whose spikes hwsim computes itself, so every spike can be compared. Recordings of event
cameras become inputs. docs/capture.md says what is refused.
"""

from __future__ import annotations

from hwsim.capture.errors import CaptureError
from hwsim.capture.events import EventPlanes, event_planes
from hwsim.capture.netx import capture_netx, from_netx
from hwsim.capture.nir_graph import capture_nir, from_nir
from hwsim.capture.torch_model import capture_torch

__all__ = [
    "CaptureError", "EventPlanes", "capture_netx", "capture_nir", "capture_torch", "event_planes", "from_netx", "from_nir",
]
