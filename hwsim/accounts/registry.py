"""The accounts by family. To add one: write a file with an Account (hwsim/accounts/base.py), add it here; docs/recipes.md has
the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.accounts.base import Account, variants_of
from hwsim.accounts.published.additions import Additions
from hwsim.accounts.published.datta_2021 import Datta2021
from hwsim.accounts.published.datta_2022 import Datta2022
from hwsim.accounts.published.datta_2022_chips import Datta2022Chips
from hwsim.accounts.published.datta_2024 import Datta2024
from hwsim.accounts.published.lemaire_2022 import Lemaire2022
from hwsim.accounts.published.neurobench import NeuroBench
from hwsim.accounts.published.spikingjelly import SpikingJellySimple
from hwsim.accounts.published.thresholds import Threshold
from hwsim.accounts.published.yan_movement import YanMovement

ACCOUNTS: dict[str, type[Account]] = {
    "additions": Additions,
    "datta2024": Datta2024,
    "datta2022": Datta2022,
    "datta2022_chips": Datta2022Chips,
    "datta2021": Datta2021,
    "lemaire2022": Lemaire2022,
    "spikingjelly": SpikingJellySimple,
    "neurobench": NeuroBench,
    "yan_movement": YanMovement,
    "threshold": Threshold,
}


def all_accounts() -> Iterator[Account]:
    """Every account under each of its variants, in the order of the registry. Raises AccountError."""
    for family, kind in ACCOUNTS.items():
        yield from variants_of(family, kind)
