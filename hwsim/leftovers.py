"""Names of files that are being made, and what is left of them when their process is killed. Part of hwsim/files.py.

A hidden name says who made it: machine, its start, process namespace, process and that process's start. So the next writer to the
same target knows whether the maker still lives, and removes what a dead one left. What another machine made is left alone: it may
live. Only Linux tells when a process started; elsewhere a process counts as living while its number is taken.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

PART, OLD = ".part", ".old"
"""What is being made, and what was taken from its place while the new one was put there."""
_MADE_BY = re.compile(r"\.([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-f]{12}(\.part|\.old)\Z")


def hidden(path: Path, ending: str = PART) -> Path:
    """A hidden name in the same folder, so that a rename is all that is left to do."""
    pid = os.getpid()
    return path.with_name(f".{path.name}.{'-'.join(_here())}-{pid}-{_start(pid)}-{os.urandom(6).hex()}{ending}")


def remove_leftovers(path: Path) -> None:
    """Remove what dead processes left beside `path` for it. An old one whose place is empty goes back there."""
    begin = f".{path.name}."
    with suppress(OSError):
        for entry in os.scandir(path.parent):
            made_by = _MADE_BY.fullmatch(entry.name[len(begin) - 1 :]) if entry.name.startswith(begin) else None
            if made_by is None or _may_live(*made_by.groups()[:5]):
                continue
            left = Path(entry.path)
            if made_by[6] == OLD and not path.exists():
                os.replace(left, path)
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _may_live(machine: str, started: str, namespace: str, pid: str, start: str) -> bool:
    """Whether that process may still be there."""
    here = _here()
    if machine != here[0]:
        return True
    if started != here[1]:
        return False  # before this machine was started
    if namespace != here[2]:
        return True  # in another container, whose processes nobody sees from here
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return _start(int(pid)) == start


@cache
def _here() -> tuple[str, str, str]:
    """This machine, its start, and this process's namespace, as 8 hexadecimal digits each."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        namespace = os.readlink("/proc/self/ns/pid")
    machine, boot, namespace = (sha256(text.encode()).hexdigest()[:8] for text in (platform.node(), boot, namespace))
    return machine, boot, namespace


def _start(pid: int) -> str:
    """When a process started, in clock ticks since the machine did; 0 where nobody says."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError, UnicodeDecodeError):
        return "0"
