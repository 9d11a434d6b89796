"""What runs one core, or one list of operations, by itself, by name: both engines, and for a core the hardware in Amaranth's
simulator. Each loads on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hwsim.engine import ENGINES, make_engine
from hwsim.record import CoreLog, ListTimes
from hwsim.verify.format import VerifyError

RunCore = Callable[..., CoreLog]
"""Takes the arguments of `hwsim.record.Engine.run_core`."""
RunList = Callable[..., ListTimes]
"""Takes the arguments of `hwsim.record.Engine.run_list`."""
LIST_ENGINES = ENGINES


def _rtl() -> RunCore:
    try:
        from hwsim.rtl.machine import run_core  # Amaranth is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "amaranth":
            raise
        raise VerifyError("needs Amaranth: pip install 'hwsim[rtl]'") from None
    return run_core


CORE_ENGINES: dict[str, Callable[[], RunCore]] = {
    **{name: lambda name=name: make_engine(name).run_core for name in ENGINES}, "rtl": _rtl}  # type: ignore[misc]


@cache
def run_core_of(engine: str) -> RunCore:
    """`run_core` of one of CORE_ENGINES. Raises VerifyError when it needs a package that is not installed."""
    return CORE_ENGINES[engine]()


@cache
def run_list_of(engine: str) -> RunList:
    """`run_list` of one of LIST_ENGINES."""
    return make_engine(engine).run_list
