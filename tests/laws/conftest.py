"""A law about published cases is asked once for each kind of case that its implementation looks at."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is not None and "case_kind" in metafunc.fixturenames:
        metafunc.parametrize("case_kind", metafunc.cls.case_kinds)
