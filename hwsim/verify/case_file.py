"""A file of test vectors as JSON values: gzip or plain text, bounded, and nothing executed.

The limit is on the unpacked text (MAX_BYTES), so that a few bytes that unpack to gigabytes are refused before memory is spent
on them. JSON is read strictly: UTF-8, no key twice, no NaN and no infinity.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any, NoReturn

from hwsim.units import format_bits
from hwsim.verify.format import VerifyError

MAX_BYTES = 64 << 20
GZIP_MAGIC = b"\x1f\x8b"


def read_document(path: str | Path, limit_bytes: int = MAX_BYTES) -> Any:
    """The JSON value in `path`. Raises VerifyError when there is none, when it is damaged, or when it is too large."""
    place = Path(path)
    if not place.is_file():
        raise VerifyError(f"{path}: {'a folder' if place.is_dir() else 'no such file'}; give a file of test vectors (.json.gz)")
    data = _unpacked(place, limit_bytes)
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_without_doubles, parse_constant=_not_a_number)
    except UnicodeDecodeError as error:
        raise VerifyError(
            f"{path}: byte {error.start:,} is not UTF-8; expected JSON, plain or packed by gzip") from None
    except json.JSONDecodeError as error:
        raise VerifyError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise VerifyError(f"{path}: JSON that is nested too deeply; no format of test vectors is") from None
    except ValueError as error:
        raise VerifyError(f"{path}: not JSON of test vectors: {error}") from None


def _unpacked(place: Path, limit_bytes: int) -> bytes:
    limit = f"the limit of {format_bits(8 * limit_bytes)}; split the file"
    if place.stat().st_size > limit_bytes:
        raise VerifyError(f"{place}: has {place.stat().st_size:,} bytes, more than {limit}")
    with place.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not packed:
            return raw.read()
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                data = file.read(limit_bytes + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise VerifyError(f"{place}: damaged gzip: {error}; get the file again") from None
    if len(data) > limit_bytes:
        raise VerifyError(f"{place}: unpacks to more than {limit}")
    return data


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} is given twice in one object; keep one")
    return made


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"found {name}, expected integers")
