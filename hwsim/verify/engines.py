"""What runs one core, or one list of operations, by itself, by name: both engines, and for a core the hardware in Amaranth's
simulator. Each loads on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

from hwsim.engine import ENGINES, make_engine
from hwsim.record import CoreLog, ListTimes
from hwsim.verify.format import VerifyError

Runs = Callable[..., CoreLog]
RunList = Callable[..., ListTimes]
"""Takes the arguments of `hwsim.record.Engine.run_list`."""
LIST_ENGINES = ENGINES


class CoreEngine(NamedTuple):
    """Functions that take the arguments of `hwsim.record.Engine.run_core` and `run_planes`."""

    run_core: Runs
    run_planes: Runs


def _core_engine(name: str) -> CoreEngine:
    engine = make_engine(name)
    return CoreEngine(engine.run_core, engine.run_planes)


def _rtl() -> CoreEngine:
    try:
        from hwsim.rtl.machine import run_core  # Amaranth is an extra
        from hwsim.rtl.scan_machine import run_planes
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "amaranth":
            raise
        raise VerifyError("needs Amaranth: pip install 'hwsim[rtl]'") from None
    return CoreEngine(run_core, run_planes)


CORE_ENGINES: dict[str, Callable[[], CoreEngine]] = {**{name: partial(_core_engine, name) for name in ENGINES}, "rtl": _rtl}


@cache
def _engine(name: str) -> CoreEngine:
    return CORE_ENGINES[name]()


def run_core_of(engine: str) -> Runs:
    """`run_core` of one of CORE_ENGINES. Raises VerifyError when it needs a package that is not installed."""
    return _engine(engine).run_core


def run_planes_of(engine: str) -> Runs:
    """`run_planes` of one of CORE_ENGINES. Raises VerifyError when it needs a package that is not installed."""
    return _engine(engine).run_planes


@cache
def run_list_of(engine: str) -> RunList:
    """`run_list` of one of LIST_ENGINES."""
    return make_engine(engine).run_list
