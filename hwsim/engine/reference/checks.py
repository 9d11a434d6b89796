"""What the reference engine asks of a run before it makes a cycle of it; hwsim/checks says it, to both engines alike."""

from __future__ import annotations

from hwsim.checks.run import check_alone, check_run

__all__ = ["check_alone", "check_run"]
