"""The error of everything that ODIN cannot be given."""

from __future__ import annotations

from collections.abc import Iterable

from hwsim.errors import HwsimError


class OdinError(HwsimError):
    """One or more mistakes in a configuration, a stimulus, a network or a case; one line per mistake."""


def refuse(mistakes: Iterable[str]) -> None:
    """Raise OdinError with all mistakes, if there is any."""
    if lines := list(mistakes):
        raise OdinError("\n".join(lines))
