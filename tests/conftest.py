"""Small traces that many tests share, made once a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwsim.kept import forget
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise

# Laws are no test files, but their asserts should say as much.
pytest.register_assert_rewrite("tests.laws")

ROOT = Path(__file__).resolve().parent.parent


COMPILES = ("laws/test_fast.py", "engine/")
NEEDS_FEW_KERNELS = (
    "cores/odin/", "snn/", "docs/", "convert/test_train.py", "convert/test_native.py", "convert/test_rounding.py",
    "faults/test_writing.py", "rtl/test_gates.py", "test_contracts.py", "test_house.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No kernel is compiled twice: two workers begin at the two halves of the list. One begins with the fast engine's laws, which
    compile nearly all of its kernels. The other begins with tests that need few of these, and finds the others compiled later.
    """
    def is_in(item: pytest.Item, places: tuple[str, ...]) -> bool:
        return item.path.relative_to(ROOT / "tests").as_posix().startswith(places)

    first, few = ([item for item in items if is_in(item, places)] for places in (COMPILES, NEEDS_FEW_KERNELS))
    taken = {id(item) for item in (*first, *few)}
    others = [item for item in items if id(item) not in taken]
    middle = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *others[:middle], *few, *others[middle:]]


@pytest.fixture(autouse=True)
def no_kept_prices_of_changed_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that changes what prices are made of asks anew, and leaves no answers behind."""
    if "monkeypatch" not in request.fixturenames:
        yield
        return
    forget()
    yield
    forget()


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Nobody cuts the power while tests run, and each sync waits for the disk. Whether and when there is one is tested."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def rate_trace() -> Trace:
    return synthesise("tiny", timesteps=3, density=0.2, samples=3, seed=1)


@pytest.fixture(scope="session")
def bit_serial_trace() -> Trace:
    return synthesise("tiny", timesteps=3, density=0.3, samples=3, seed=2, coding="bit_serial")


@pytest.fixture(scope="session")
def quantised_trace() -> Trace:
    return synthesise("tiny", timesteps=1, density=0.4, samples=3, seed=3, coding="quantised")


@pytest.fixture(scope="session")
def trace_files(
    tmp_path_factory: pytest.TempPathFactory, rate_trace: Trace, bit_serial_trace: Trace, quantised_trace: Trace
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("traces")
    made = {"rate": rate_trace, "bit_serial": bit_serial_trace, "quantised": quantised_trace}
    for name, trace in made.items():
        trace.save(folder / f"{name}.h5").close()
    return {name: folder / f"{name}.h5" for name in made}
