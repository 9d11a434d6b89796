"""What a capture says when it must refuse: one text with the place in the model, what was found, expected, and what to do."""

from __future__ import annotations

from hwsim.errors import HwsimError


class CaptureError(HwsimError):
    """A model, graph or input that cannot be taken over; the text names its place, what was found and what to do."""


def refusal(where: str, place: str, found: str, expected: str, do: str) -> CaptureError:
    """The one error a user sees, in the words of every other hwsim error."""
    return CaptureError(f"{where}: {place}: found {found}, expected {expected}; {do}")


class UnsupportedError(Exception):
    """Something between two spiking layers that synapses cannot express; becomes a refusal when a layer depends on it."""

    def __init__(self, found: str, expected: str, do: str) -> None:
        super().__init__(f"found {found}, expected {expected}; {do}")
        self.found, self.expected, self.do = found, expected, do
