"""One trace under every account: what the SNN is charged, what its ANN is charged, who wins, and what each account leaves out.

An account whose inputs the trace lacks is a row that says which. Energies are pJ per sample; `ratio` is the ANN's over the
SNN's, so above 1 the SNN wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.accounts.base import Account, Bill, LacksInputError, total
from hwsim.accounts.ours import our_rows
from hwsim.accounts.registry import all_accounts
from hwsim.accounts.row import Row
from hwsim.accounts.work import Work, WorkError, check_twins, count_work
from hwsim.trace.reader import Trace
from hwsim.trace.twin import ann_in


@dataclass(frozen=True)
class Assumed:
    """What `assume` found: one row for each account, and what was counted."""

    rows: tuple[Row, ...]
    snn: Work
    ann: Work | None

    def row(self, account: str) -> Row:
        return next(row for row in self.rows if row.account == account)


def assume(
    trace: Trace | str | Path, ann: Trace | str | Path | None = None, *, samples: int | None = None, simulated: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Assumed:
    """A trace under all accounts.

    ann         the trace of the ANN that the network was converted from. None: the one in a bit-serial trace; of another trace,
                accounts that need the ANN's activations lack them.
    samples     how many of the first samples count (all that both traces have).
    simulated   whether to replay the trace on the shipped dataflows as well (hwsim/accounts/ours.yaml).
    progress    called with (steps done, steps in all).

    Raises TraceError, WorkError for an SNN that is an ANN and an ANN that is not its twin, AccountError for a broken data file.
    """
    with _opened(trace) as snn_trace:
        if ann is None:
            return _assume(snn_trace, ann_in(snn_trace, samples), samples, simulated, progress)
        with _opened(ann) as ann_trace:
            return _assume(snn_trace, ann_trace, samples, simulated, progress)


def _assume(
    trace: Trace, ann: Trace | None, samples: int | None, simulated: bool, progress: Callable[[int, int], None] | None
) -> Assumed:
    wanted = samples
    if samples is None:
        wanted = min(t.samples for t in (trace, ann) if t is not None)
    work = count_work(trace, wanted)
    rival = count_work(ann, wanted) if ann is not None else None
    if work.is_ann:
        raise WorkError(f"{trace.name}: is a quantised ANN, expected an SNN; give the ANN with --ann, and the SNN first")
    if rival is not None:
        check_twins(work, rival)
    rows = [charged(account, work, rival) for account in all_accounts()]
    if simulated:
        rows += our_rows(trace, ann, wanted, progress)
    return Assumed(tuple(rows), work, rival)


def charged(account: Account, work: Work, ann: Work | None) -> Row:
    """One account's row; with the reason, and without numbers, where an input is lacking."""
    bills: dict[str, Bill] = {}
    lacks: list[str] = []
    for side, make in (("snn", lambda: account.snn(work)), ("ann", lambda: account.ann(work, ann))):
        try:
            bills[side] = make()
        except LacksInputError as error:
            lacks.append(str(error))
    data = account.data
    return Row(account.name, account.title, data.counts, bills.get("snn", ()), bills.get("ann", ()), "; ".join(lacks),
               tuple(data.leaves_out), data.paper, data.equations, data.reading)


class _opened:  # noqa: N801
    """A trace as it was given, or one that is open for a block."""

    def __init__(self, trace: Trace | str | Path) -> None:
        self._given = trace

    def __enter__(self) -> Trace:
        self._open = self._given if isinstance(self._given, Trace) else Trace.open(self._given)
        return self._open

    def __exit__(self, *error: Any) -> None:
        if self._open is not self._given:
            self._open.close()


def frame_rows(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows as plain dictionaries, JSON-ready; `lines` are the bills."""
    for row in rows:
        yield {
            "account": row.account, "title": row.title, "counts": row.counts,
            "snn": total(row.snn) if row.snn and not row.lacks else None,
            "ann": None if row.counts == "threshold" or row.lacks else total(row.ann),
            "band": list(row.band) if row.counts == "threshold" else None,
            "ratio": row.ratio, "wins": row.winner, "lacks": row.lacks or None, "leaves_out": list(row.leaves_out),
            "paper": row.paper, "equations": row.equations, "reading": row.reading or None,
            "lines": {side: [{"what": n.what, "count": n.count, "each": n.each, "amount": n.amount} for n in bill]
                      for side, bill in (("snn", row.snn), ("ann", row.ann))},
        }
