"""An account of energy that hwsim does not have, in one file: nothing costs anything but reading a weight.

The SNN reads one for each synaptic operation, its ANN one for each multiply-accumulate, dense.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.work import Work


class WeightReads(Account):
    """One variant, whose data stand here and not beside the file."""

    text = """
paper: an example of the tests, of nobody
equations: E = reads x E_read
leaves_out: [everything but weights]
variants:
  default:
    title: weight reads only
    numbers:
      e_read: {value: 2.5, unit: pJ, source: "an assumption, to be seen in a table"}
"""

    def snn(self, work: Work) -> Bill:
        return (Line("weights read", work.operations(identities=False), self.number("e_read")),)

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("weights read", work.dense_macs, self.number("e_read")),)
