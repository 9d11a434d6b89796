"""A study: many points in, one row for each out, kept in a folder under their Task and prices, resumable.

A point is a trace on a design, with a schedule and prices. Its key is the hash of its Task and of its price list, so a point
whose row is there is never run again, and a row of another model version is never taken for it. Points that differ in prices only
are simulated once. Rows are appended to `rows.jsonl`: a killed study goes on where it stopped. Points run in worker processes, or
on a Dask cluster; one that fails, however it fails, keeps its reason in its row.
"""

from hwsim.study.point import HIGHEST, Point, Row, StudyError, identify
from hwsim.study.rows import ROWS, read_rows
from hwsim.study.run import run_study, study_rows

__all__ = ["HIGHEST", "ROWS", "Point", "Row", "StudyError", "identify", "read_rows", "run_study", "study_rows"]
