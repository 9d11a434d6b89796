"""What README.md says of the tests is true: its command installs every package without which a test would be skipped."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PLACES = {
    "README.md": re.search(r"Run the tests.*?```\n(.*?)```", README, re.DOTALL).group(1),  # type: ignore[union-attr]
    "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    ".ci/run": (ROOT / ".ci" / "run").read_text(encoding="utf-8"),
}


def installed_by(text: str) -> list[tuple[str, ...]]:
    """The words after each `pip install`, without what only says how: quietly, or from the folder as it stands."""
    commands = [command.replace('"', "").split() for command in re.findall(r"pip install ([^&#\n]+)", text)]
    listed = [tuple(word for word in command if word not in ("--quiet", "-e")) for command in commands]
    return [words for words in listed if words != ("--upgrade", "pip")]


def test_readme_contributing_and_ci_install_the_same() -> None:
    wanted = installed_by(PLACES["README.md"])
    assert wanted
    for place, text in PLACES.items():
        assert installed_by(text) == wanted, place


def test_no_test_is_skipped_for_a_package_that_the_command_does_not_install() -> None:
    named = {word for words in installed_by(PLACES["README.md"]) for word in words if not word.startswith((".", "-"))}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (of_ours,) = (word for words in installed_by(PLACES["README.md"]) for word in words if word.startswith("."))
    optional = [name for extra in re.findall(r"\w+", of_ours) for name in extras["optional-dependencies"][extra]]
    wanted = (*named, *extras["dependencies"], *optional)
    packages = {re.split(r"[<>=\[]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    known = packages_distributions()
    for path in (ROOT / "tests").rglob("*.py"):
        for module in re.findall(r'importorskip\("(\w+)', path.read_text(encoding="utf-8")):
            brings = {name.lower().replace("_", "-") for name in known.get(module, [module])}
            assert brings & packages, f"{path.relative_to(ROOT)} is skipped without {module}, which README.md does not install"


def test_the_readme_says_how_long_the_tests_take() -> None:
    assert re.search(r"about \d+ minutes on two cores", README)
