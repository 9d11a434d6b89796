"""A claim and its verdict: read from claims.yaml, computed again by its formula, and held to what the verdict says.

A verdict is no opinion: `reproduced` means that every printed number is met within the claim's distance, `wrong as printed`
that at least one is not, and that what is given as right is. A claim whose inputs were not published says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import isclose
from pathlib import Path
from typing import Literal

from pydantic import Field

from hwsim.accounts.base import AccountError, checked
from hwsim.accounts.claims.formulas import FORMULAS, Inputs, Results
from hwsim.accounts.claims.schedules import SCHEDULES
from hwsim.fields import Fields
from hwsim.yaml_file import read_yaml

DATA = Path(__file__).with_name("claims.yaml")
Verdict = Literal["reproduced", "reproduced under stated assumptions", "needs data that were not published", "wrong as printed"]
DATAFLOWS = ("event_driven", "output_stationary")
"""Machines of a claim that means none in particular: each dataflow's best."""
ZERO = 5e-3
"""A printed zero is met by anything below."""


class Claim(Fields):
    """One claim, as the file has it."""

    paper: str
    place: str = Field(min_length=1)
    claim: str = Field(min_length=10)
    formula: str
    compute: str
    """Name of the formula in FORMULAS or SCHEDULES."""
    inputs: dict[str, float] = {}
    printed: dict[str, float] = {}
    """The paper's numbers, by the formula's names; empty where it prints only ratios that are inputs."""
    right: dict[str, float] = {}
    within: float = Field(default=0.006, gt=0, lt=1)
    verdict: Verdict
    assumes: list[str] = []
    needs: list[str] = []
    note: str = ""
    implied: list[str] = []
    """Results that follow from the printed numbers and say what they would take."""
    ratios: list[float] = []
    """Energies of the ANN over the SNN that the paper prints, for the figure."""
    accounts: list[str] = []
    """Published accounts (hwsim assume) that are the claim on a trace of ours."""
    machines: list[str] = []
    """Pairs of machines of hwsim/accounts/ours.yaml that the claim is simulated on; of a claim with accounts: DATAFLOWS."""


class Error(Fields):
    """A formula that is printed wrong."""

    paper: str
    place: str
    printed: str
    right: str
    check: str
    """Name of the printed form in tests/convert/test_printed_equations.py, where it is switched on and breaks a network."""


class ClaimData(Fields):
    """claims.yaml."""

    papers: dict[str, str]
    claims: dict[str, Claim]
    errors: list[Error]


@dataclass(frozen=True)
class Checked:
    """A claim with what its formula gives."""

    name: str
    claim: Claim
    ours: Results

    @property
    def verdict(self) -> Verdict:
        return self.claim.verdict

    @property
    def machines(self) -> tuple[str, ...]:
        """Pairs of machines that it is simulated on; none for a claim that is not one on a trace."""
        return tuple(self.claim.machines) or (DATAFLOWS if self.claim.accounts else ())


@cache
def claim_data() -> ClaimData:
    """What claims.yaml says. Raises AccountError."""
    return checked(ClaimData, read_yaml(DATA))


def check_claims() -> tuple[Checked, ...]:
    """Every claim, computed. Raises AccountError for one whose verdict is not what its numbers say."""
    return tuple(check_claim(name, claim) for name, claim in claim_data().claims.items())


def check_claim(name: str, claim: Claim) -> Checked:
    """One claim. Raises AccountError as `check_claims` does, and for a formula or an input that is not there."""
    try:
        ours = formula(claim.compute)(claim.inputs)
    except KeyError as error:
        raise AccountError(f"claims.{name}: inputs: found nothing for {error}, expected the formula's inputs; add it") from None
    if problem := contradiction(claim, ours):
        raise AccountError(f"claims.{name}: verdict: found {claim.verdict!r}, but {problem}; correct the verdict or the inputs")
    return Checked(name, claim, ours)


def formula(name: str) -> Callable[[Inputs], Results]:
    """A formula by name. Raises AccountError."""
    known = {**FORMULAS, **SCHEDULES}
    if name not in known:
        raise AccountError(f"compute: found {name!r}, expected one of {', '.join(known)}")
    return known[name]


def contradiction(claim: Claim, ours: Results) -> str:
    """What of a verdict its numbers do not say; empty where they agree."""
    if unknown := [key for key in (*claim.printed, *claim.right, *claim.implied) if key not in ours]:
        return f"the formula has no {unknown[0]!r}, it has {', '.join(ours)}"
    off = [key for key, value in claim.printed.items() if not near(ours[key], value, claim.within)]
    if claim.verdict == "needs data that were not published":
        return "" if claim.needs else "nothing is named that was not published"
    if claim.verdict == "wrong as printed":
        wrong = [key for key, value in claim.right.items() if not near(ours[key], value, claim.within)]
        if not off:
            return "every printed number is met"
        if not claim.right:
            return "nothing is said to be right"
        return f"{wrong[0]} is {ours[wrong[0]]:g} and not {claim.right[wrong[0]]:g}" if wrong else ""
    if off:
        return f"{off[0]} is {ours[off[0]]:g} and not {claim.printed[off[0]]:g}"
    if not claim.printed:
        return "nothing printed is compared"
    if (claim.verdict == "reproduced under stated assumptions") != bool(claim.assumes):
        return "assumptions are given exactly where the verdict says so"
    return ""


def near(ours: float, printed: float, within: float) -> bool:
    return abs(ours) < max(ZERO, within / 2) if printed == 0 else isclose(ours, printed, rel_tol=within)
