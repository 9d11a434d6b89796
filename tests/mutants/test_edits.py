"""Patterns fit whatever the layout, exactly once, and say what they found when they do not."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.copies import copied, edited
from tests.mutants.edits import Edit, EditError, apply

SOURCE = '''
import math

LIMIT = 3


def total(values, limit=LIMIT):
    """Adds up."""
    result = 0
    for value in values:  # all of them
        if value < limit:
            result += value
            result = min(result,
                         limit)
    return result


class Store:
    def put(self, value):
        self.call(value, ready=True, width=value + 1)
        return (value & 1) | (value & 2) | (value & 4)

    def get(self, value):
        return self.put(value) + self.put(value)


class Other:
    def put(self, value):
        return value
'''


def changed(function: str, old: str, new: str = "") -> str:
    """The source after the edit, without its layout."""
    tree = ast.parse(SOURCE)
    apply(Edit("module", function, old, new), tree, "module.py")
    compile(tree, "module.py", "exec")
    return ast.unparse(tree)


def by_text(old: str, new: str) -> str:
    """What the same change gives in the source without layout, where the text occurs once."""
    source = ast.unparse(ast.parse(SOURCE))
    assert source.count(old) == 1
    return ast.unparse(ast.parse(source.replace(old, new)))


@pytest.mark.parametrize(("function", "old", "new", "text", "its"), [
    ("total", "value < limit", "value <= limit", "value < limit", "value <= limit"),
    ("total", "min(result,\n   limit)", "result", "min(result, limit)", "result"),
    ("total", "result += value", "result -= value", "result += value", "result -= value"),
    ("total", "result += value\nresult = any_it", "result = any_it\nresult += value",
     "result += value\n            result = min(result, limit)", "result = min(result, limit)\n            result += value"),
    ("total", "if value < limit:\n    any_body", "any_body",
     "if value < limit:\n            result += value\n            result = min(result, limit)",
     "result += value\n        result = min(result, limit)"),
    ("total", "result += value", "", "            result += value\n", ""),
    ("Store.put", "ready=True", "ready=False", "ready=True", "ready=False"),
    ("Store.put", "width=any_width", "width=any_width & 7", "width=value + 1", "width=(value + 1) & 7"),
    ("Store.put", "any_rest | (value & 4)", "any_rest", "value & 1 | value & 2 | value & 4", "value & 1 | value & 2"),
    ("get", "any_call + any_call", "any_call", "self.put(value) + self.put(value)", "self.put(value)"),
    ("Other", "return value", "return 0", "value):\n        return value", "value):\n        return 0"),
    ("", "LIMIT = 3", "LIMIT = 4", "LIMIT = 3", "LIMIT = 4"),
    ("total", "for value in any_values:\n    any_body", "", (
        "    for value in values:\n        if value < limit:\n            result += value\n"
        "            result = min(result, limit)\n"), ""),
])
def test_an_edit_is_the_change_of_text_that_it_says(function: str, old: str, new: str, text: str, its: str) -> None:
    source = by_text(text, its) if text else ""
    assert changed(function, old, new) == source


def test_a_block_that_is_emptied_passes() -> None:
    assert "for value in values:\n        pass" in changed("total", "if value < limit:\n    any_body")


def test_layout_comments_and_place_do_not_matter() -> None:
    """The same module, written otherwise, with the class first."""
    head, tail = SOURCE.split("\nclass Store")
    moved = ast.parse("class Store" + tail.replace("\n    def get", "\n    # here\n    def get") + head)
    apply(Edit("module", "Store.put", "(value & 1) | any_x | any_y", "any_x"), moved, "module.py")
    assert "return value & 2\n" in ast.unparse(moved)


@pytest.mark.parametrize(("function", "old", "new", "text"), [
    ("total", "value > limit", "value", "(?s)module.py, total: found nowhere:.*    value > limit.*Most like.*    value < limit"),
    ("Other.put", "value & 2", "value", "found nowhere(?s:.*)But this is now in Store.put; name that"),
    ("Store", "self.put(value)", "0", r"found 2 times \(lines 24, 24\), expected once"),
    ("put", "value", "0", "'put' is one of Store.put, Other.put; say which"),
    ("took", "value < limit", "value", "has no function 'took'; this is now in total"),
    ("took", "value < 17", "value", "has no function 'took'; and nothing in it looks like"),
    ("total", "value <", "value", "is no Python"),
    ("total", "value < limit", "value  <  limit", "becomes itself"),
    ("total", "value < any_x", "any_y", "any_y stands for nothing"),
    ("total", "# nothing", "pass", "write what is to be replaced"),
])
def test_an_edit_that_does_not_fit_says_what_it_found(function: str, old: str, new: str, text: str) -> None:
    with pytest.raises(EditError, match=text):
        changed(function, old, new)


def test_a_number_is_not_the_truth_value_that_equals_it() -> None:
    tree = ast.parse("x = f(1, True, 1.0)")
    apply(Edit("module", "", "f(1, any_b, any_c)", "f(any_b)"), tree, "module.py")
    assert ast.unparse(tree) == "x = f(True)"
    with pytest.raises(EditError, match="nowhere"):
        apply(Edit("module", "", "f(1)", "f()"), tree, "module.py")


def test_a_module_that_is_not_copied_is_named() -> None:
    with pytest.raises(EditError, match="no module 'fast_core' is copied for rtl; there are accumulators, address_generator, "):
        edited("rtl", [Edit("fast_core", "x", "old", "new")])
    assert "hwsim.rtl.export" not in copied("rtl")
