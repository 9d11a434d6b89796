"""Data sets of tonic by name. tonic downloads what is not there; hwsim itself does not."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

from hwsim.capture.errors import CaptureError, refusal


def tonic_data_set(name: str, folder: str | Path, train: bool = False) -> Any:
    """A data set of `tonic.datasets`, kept in `folder`; its test set where it has one, or its training set.

    Raises CaptureError where tonic is not installed or has no such data set.
    """
    try:
        import tonic
    except ModuleNotFoundError as error:
        raise CaptureError(f"tonic data set {name}: {error.name} is not installed; pip install 'hwsim[tonic]'") from None
    made = getattr(tonic.datasets, name, None)
    known = [n for n in dir(tonic.datasets) if isinstance(getattr(tonic.datasets, n), type)]
    if made is None or name not in known:
        raise refusal("tonic", "data set", repr(name), f"one of {', '.join(known)}", "check the spelling")
    takes = signature(made).parameters
    which = {"train": train} if "train" in takes else {"split": "train" if train else "test"} if "split" in takes else {}
    return made(save_to=str(folder), **which)
