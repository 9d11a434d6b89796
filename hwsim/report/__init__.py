"""Saved runs as one page of HTML that needs no network: numbers with where they come from, figures, provenance, how to cite."""

from __future__ import annotations

from hwsim.report.page import ReportError, report

__all__ = ["ReportError", "report"]
