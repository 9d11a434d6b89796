"""One row of `hwsim assume`: the bills of an SNN and its ANN under one account, and who wins."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.accounts.base import Bill, total

EVEN = 0.01
"""Ratios nearer to 1 than this are called even."""


@dataclass(frozen=True)
class Row:
    """Both sides under one account. `lacks` says which input is missing, and is empty where nothing is."""

    account: str
    title: str
    counts: str
    snn: Bill
    ann: Bill
    lacks: str
    leaves_out: tuple[str, ...]
    paper: str
    equations: str
    reading: str

    @property
    def band(self) -> tuple[float, float]:
        """Of a threshold: below the first the SNN wins, above the second the ANN."""
        low, high = (line.amount for line in self.ann)
        return low, high

    @property
    def ratio(self) -> float | None:
        """The ANN's over the SNN's; a threshold's (its middle, where it is a band) over the measure. None where either is
        lacking.
        """
        if self.lacks or not (snn := total(self.snn)):
            return None
        return (sum(self.band) / 2 if self.counts == "threshold" else total(self.ann)) / snn

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio, or of a band both ends over the measure; none where the ratio is None."""
        if self.ratio is None:
            return ()
        ends = (end / total(self.snn) for end in dict.fromkeys(self.band)) if self.counts == "threshold" else (self.ratio,)
        return tuple(ends)

    @property
    def winner(self) -> str | None:
        """SNN, ANN, even, or undecided (inside a band); None where an input is lacking, or where nothing spikes."""
        if self.counts == "threshold" and not self.lacks:
            low, high = self.band
            measured = total(self.snn)
            return "SNN" if measured < low else "ANN" if measured > high else "undecided"
        if (ratio := self.ratio) is None:
            return None
        return "even" if abs(ratio - 1) < EVEN else "SNN" if ratio > 1 else "ANN"
