"""The two engines of ODIN share the description of the chip, of its pins and of the record, and nothing else."""

from __future__ import annotations

from tests.test_house import imports_of, modules

SHARED = {f"hwsim.cores.odin.{name}" for name in ("configuration", "errors", "fields", "record", "stimulus")}
FAST = ("fast", "fast_log", "kernels")


def test_engines_share_no_code() -> None:
    for path in modules("cores", "odin", "reference"):
        inside = {name for name in imports_of(path) if name.startswith("hwsim") and ".odin.reference" not in name}
        assert inside <= SHARED, path
        assert "numba" not in imports_of(path), path
    for name in FAST:
        (path,) = modules("cores", "odin", name)
        inside = {name for name in imports_of(path) if name.startswith("hwsim")}
        own = {"hwsim.cores.odin", "hwsim.cores.odin.kernels", "hwsim.cores.odin.fast_log", "hwsim.kernel_cache",
               "hwsim.code_folders"}
        assert inside <= SHARED | own, path
        assert "simpy" not in imports_of(path), path


def test_what_is_shared_and_what_stands_above_knows_no_engine() -> None:
    engines = {"hwsim.cores.odin.reference", *(f"hwsim.cores.odin.{name}" for name in FAST)}
    for path in modules("cores", "odin"):
        if "reference" not in path.parts and path.stem not in (*FAST, "engines"):
            assert not {name for name in imports_of(path) if name.startswith(tuple(engines))}, path
