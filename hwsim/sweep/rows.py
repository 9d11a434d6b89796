"""Rows of a study as a table: what each point set, then its numbers in units for people; saved as CSV or Parquet.

Energies are microjoules a sample, by scope: `compute_uj`, `core_uj`, `energy_uj` (the system's), and the same at a rate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from csv import DictWriter
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.files import whole_file
from hwsim.study import ROWS
from hwsim.study.proof import in_words
from hwsim.study.rows import each_row
from hwsim.sweep.axis import SweepError

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.study import Row

CSV = "rows.csv"
PARQUET = "rows.parquet"
NUMBERS: dict[str, tuple[tuple[str, ...], float]] = {
    "cycles": (("cycles",), 1), "latency_ms": (("latency_s",), 1e3),
    "compute_uj": (("energy_pj", "compute"), 1e-6), "core_uj": (("energy_pj", "core"), 1e-6),
    "energy_uj": (("energy_pj", "system"), 1e-6),
    "rate_hz": (("at_rate", "rate_hz"), 1), "core_uj_at_rate": (("at_rate", "energy_pj", "core"), 1e-6),
    "energy_uj_at_rate": (("at_rate", "energy_pj", "system"), 1e-6),
    "pj_per_operation": (("pj_per_synaptic_operation", "system"), 1), "energy_delay_js": (("energy_delay_js",), 1),
    "power_mw": (("power_w",), 1e3), "area_mm2": (("area_mm2",), 1), "utilisation": (("utilisation",), 1),
    "operations": (("synaptic_operations",), 1), "samples": (("samples",), 1), "mismatches": (("mismatches",), 1),
    "saturations": (("saturations",), 1), "accuracy": (("accuracy",), 1), "accuracy_test_set": (("accuracy_test_set",), 1),
    "meets_clock": (("meets_clock",), 1), "rows_per_cycle": (("rows_per_cycle",), 1),
    "cycles_free_links": (("free_links", "cycles"), 1), "core_uj_free_links": (("free_links", "energy_pj", "core"), 1e-6),
    "energy_uj_free_links": (("free_links", "energy_pj", "system"), 1e-6),
}
"""Columns of the table: where a row has the number, and the factor to the column's unit."""
WORDS = ("coding", "timesteps", "model_version", "run_id", "error")


def plain_row(row: Row) -> dict[str, Any]:
    """One row of a study, flat: labels first; numbers that a row lacks are None."""
    found: dict[str, Any] = dict(row.get("labels", {}))
    for name, (place, factor) in NUMBERS.items():
        value: Any = row
        for part in place:
            value = value.get(part) if isinstance(value, dict) else None
        label = name if name not in found else f"{name}_measured"
        found[label] = value * factor if isinstance(value, int | float) and not isinstance(value, bool) and factor != 1 else value
    said = {"arithmetic": in_words(row["arithmetic"])} if "arithmetic" in row else {"arithmetic": None}
    return found | said | {name: row.get(name) for name in WORDS}


def set_by_points(table: pd.DataFrame) -> list[str]:
    """The columns of a study's table that points set: neither numbers that were found, nor words about the run."""
    found = {*NUMBERS, *WORDS, "arithmetic"}
    return [str(name) for name in table if name not in found and not str(name).endswith("_measured")]


def last_rows(folder: str | Path) -> Iterator[Row]:
    """The last row of every point of a study's folder, one by one. Raises SweepError where there is none, or of several model
    versions."""
    yield from _rows_at(folder, _places(folder))


def _places(folder: str | Path) -> list[int]:
    """Where the last row of every point begins, in bytes."""
    last: dict[str, int] = {}
    versions, done, failed = set[str](), set[bytes](), dict[str, bytes]()
    for at, row in each_row(folder):
        key = row["key"]
        last[key] = at
        failed.pop(key, None)
        if "error" in row:
            failed[key] = _labels(row)
            continue
        versions.add(str(row.get("model_version")))
        done.add(_labels(row))
    if not last:
        raise SweepError(f"{folder}: found no rows of a study, expected a folder that `hwsim sweep --out` made")
    if len(versions) > 1:
        raise SweepError(f"{folder}: found rows of model versions {', '.join(sorted(versions))}, which do not compare; run the "
                         "study again in a new folder")
    # A point that failed when it was not yet known what it was has another key than the same point when it succeeds.
    return [at for key, at in last.items() if failed.get(key) not in done]


def _rows_at(folder: str | Path, places: list[int]) -> Iterator[Row]:
    with (Path(folder) / ROWS).open("rb") as file:
        for at in places:
            file.seek(at)
            yield json.loads(file.readline())


def _labels(row: Row) -> bytes:
    """What tells points apart that have no other key, in a few bytes."""
    return sha256(json.dumps(row.get("labels", {}), sort_keys=True).encode()).digest()[:16]


def study_frame(folder: str | Path) -> pd.DataFrame:
    """The table of all points of a study's folder. Raises SweepError where there is none, or of several model versions."""
    import pandas as pd

    return pd.DataFrame([plain_row(row) for row in last_rows(folder)])


def save(folder: str | Path, parquet: bool = False) -> list[Path]:
    """Write the table of a study's folder: rows.csv, and rows.parquet where it is asked for; the paths of both.

    Another study may add rows to the same folder while a table is written, and write its own table before this one is in its
    place. So the table is written again until it has all rows. Raises SweepError as `study_frame` does, and where nothing here
    writes Parquet.
    """
    while True:
        size = (Path(folder) / ROWS).stat().st_size if (Path(folder) / ROWS).exists() else 0
        written = _save(folder, parquet)
        if (Path(folder) / ROWS).stat().st_size == size:
            return written


def _save(folder: str | Path, parquet: bool) -> list[Path]:
    """Row by row, so that a table of any length takes little memory; Parquet has a type for each column and takes the whole."""
    written, places = [Path(folder) / CSV], _places(folder)
    labels, numbers = dict[str, None](), dict[str, None]()
    for row in _rows_at(folder, places):
        labels |= dict.fromkeys(row.get("labels", {}))
        numbers |= dict.fromkeys(plain_row(row))
    with whole_file(written[0]) as part, part.open("w", newline="") as file:
        table = DictWriter(file, list(labels | numbers))
        table.writeheader()
        table.writerows(plain_row(row) for row in _rows_at(folder, places))
    if parquet:
        written.append(Path(folder) / PARQUET)
        try:
            with whole_file(written[1]) as part:
                _as_text(study_frame(folder)).to_parquet(part, index=False)
        except ImportError:
            raise SweepError("Parquet needs the package pyarrow; pip install hwsim[parquet], or take rows.csv") from None
    return written


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of several types (a design's field may be a number here and text there) as text: Parquet has one type a column."""
    mixed = [name for name in table if table[name].map(type).nunique() > 1 and table[name].dtype == object]
    return table.assign(**{str(name): table[name].map(lambda value: None if value is None else str(value)) for name in mixed})
