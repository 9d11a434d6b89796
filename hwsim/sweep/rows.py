"""Rows of a study as a table: what each point set, then its numbers in units for people; saved as CSV or Parquet.

Energies are microjoules a sample, by scope: `compute_uj`, `core_uj`, `energy_uj` (the system's), and the same at a rate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.files import whole_file
from hwsim.study import ROWS, read_rows
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
    return found | {name: row.get(name) for name in WORDS}


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """The table of a study's rows, in their order."""
    import pandas as pd

    return pd.DataFrame([plain_row(row) for row in rows])


def load(folder: str | Path) -> list[Row]:
    """The last row of every point of a study's folder. Raises SweepError where there is none, or of several model versions."""
    rows = {row["key"]: row for row in read_rows(folder)}
    if not rows:
        raise SweepError(f"{folder}: found no rows of a study, expected a folder that `hwsim sweep --out` made")
    versions = sorted({str(row["model_version"]) for row in rows.values() if "model_version" in row})
    if len(versions) > 1:
        raise SweepError(f"{folder}: found rows of model versions {', '.join(versions)}, which do not compare; run the study "
                         "again in a new folder")
    done = {_labels(row) for row in rows.values() if "error" not in row}
    # A point that failed when it was not yet known what it was has another key than the same point when it succeeds.
    return [row for row in rows.values() if "error" not in row or _labels(row) not in done]


def _labels(row: Row) -> str:
    return json.dumps(row.get("labels", {}), sort_keys=True)


def study_frame(folder: str | Path) -> pd.DataFrame:
    """The table of all points of a study's folder. Raises SweepError as `load` does."""
    return frame(load(folder))


def save(folder: str | Path, parquet: bool = False) -> list[Path]:
    """Write the table of a study's folder: rows.csv, and rows.parquet where it is asked for; the paths of both.

    Another study may add rows to the same folder while a table is written, and write its own table before this one is in its
    place. So the table is written again until it has all rows. Raises SweepError as `load` does, and where nothing here writes
    Parquet.
    """
    while True:
        size = (Path(folder) / ROWS).stat().st_size if (Path(folder) / ROWS).exists() else 0
        written = _save(frame(load(folder)), folder, parquet)
        if (Path(folder) / ROWS).stat().st_size == size:
            return written


def _save(table: pd.DataFrame, folder: str | Path, parquet: bool) -> list[Path]:
    written = [Path(folder) / CSV]
    with whole_file(written[0]) as part:
        table.to_csv(part, index=False)
    if parquet:
        written.append(Path(folder) / PARQUET)
        try:
            with whole_file(written[1]) as part:
                _as_text(table).to_parquet(part, index=False)
        except ImportError:
            raise SweepError("Parquet needs the package pyarrow; pip install hwsim[parquet], or take rows.csv") from None
    return written


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of several types (a design's field may be a number here and text there) as text: Parquet has one type a column."""
    mixed = [name for name in table if table[name].map(type).nunique() > 1 and table[name].dtype == object]
    return table.assign(**{str(name): table[name].map(lambda value: None if value is None else str(value)) for name in mixed})
