"""Quantities with units, read and written: "64 KiB", "500 MHz", "4 GB/s", and nothing else.

Inside hwsim every integer carries its unit as a suffix: _cycles, _bits, _bytes, _hz; energy is _pj. Binary prefixes (KiB) are
powers of 1024, decimal ones (MHz) of 1000. Capacities take binary prefixes only: for memories "128 KB" may mean either.
"""

from __future__ import annotations

import re
from decimal import Decimal

from hwsim.errors import shown

_DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_BINARY = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_NUMBER = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][0-9]{1,2})?)\s*([kKMG]i?|)(b|bit|bits|B|Hz)\s*\Z")

_DIGITS = r"^\s*[0-9]{1,20}(\.[0-9]{1,20})?([eE][0-9]{1,2})?\s*"
BITS_PATTERN = _DIGITS + r"([KMG]i)?(b|bit|bits|B)\s*$|^0$"
HZ_PATTERN = _DIGITS + r"[kKMG]?Hz\s*$"
"""What parse_bits and parse_hz read, as regular expressions that JSON Schema knows; whole units are not theirs to check."""


def _parse(text: object, prefixes: dict[str, int], units: dict[str, int], example: str) -> int:
    found = _NUMBER.match(text) if isinstance(text, str) else None
    if found is None or found[3] not in units:
        raise ValueError(f"{shown(text)} is not a quantity such as {example}")
    number, prefix, unit = found.groups()
    if prefix in _DECIMAL and prefix not in prefixes:
        raise ValueError(f"{shown(text)} is a quantity of two meanings, as {prefix} may be a power of 1000 or 1024; write "
                         f"'{number} {prefix.upper()}i{unit}' for 1024, or the number without a prefix")
    if prefix not in prefixes:
        raise ValueError(f"{shown(text)} is not a quantity such as {example}")
    exact = Decimal(number) * prefixes[prefix] * units[unit]
    if exact != int(exact):
        raise ValueError(f"{shown(text)} is not a whole number of units; write a quantity such as {example}")
    return int(exact)


def parse_bits(text: object) -> int:
    """Bits in "64 KiB", "2 MiB", "512 bit"; "0" or 0 is no memory. Raises ValueError."""
    if text in (0, "0"):
        return 0
    return _parse(text, _BINARY, {"B": 8, "b": 1, "bit": 1, "bits": 1}, "'64 KiB' or '512 bit'")


def parse_hz(text: object) -> int:
    """Hertz in "500 MHz". Raises ValueError."""
    return _parse(text, _DECIMAL, {"Hz": 1}, "'500 MHz'")


def format_bits(bits: int) -> str:
    """Bits as a person says them: 524288 -> "64 KiB"."""
    if bits % 8:
        return f"{bits} bit"
    size = bits / 8
    for suffix in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or suffix == "GiB":
            return f"{size:.4g} {suffix}"
        size /= 1024
    raise AssertionError("unreachable")


def format_si(value: float, unit: str, digits: int = 3) -> str:
    """A value with an SI prefix: 1.5e-5, "s" -> "15 us"."""
    if value == 0:
        return f"0 {unit}"
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")):
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.{digits}g} {prefix}{unit}"
    return f"{value / 1e-12:.{digits}g} p{unit}"


def percent(value: float | None) -> str:
    """A share of a hundred as text; a dash where it is not known."""
    return "-" if value is None else f"{value:.2f} %"
