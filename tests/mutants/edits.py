"""Edits of a module by structure: what is looked for is Python, compared as a syntax tree within one function.

Layout, comments, and where the function stands in its module do not matter. `any_x` stands for whatever is there: an
expression, or, as a statement of its own, any number of statements. A second `any_x` must be equal to the first. An edit that
does not fit exactly once is an error that says what was found instead.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Any

WILD = "any_"
# Fields of a node that say nothing about what it does.
LAYOUT = ("ctx", "type_comment", "kind")
Place = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Bound = dict[str, Any]


class EditError(Exception):
    """An edit that cannot be made: the source has moved on. Write the edit anew, so that it breaks its rule again."""


@dataclass(frozen=True)
class Edit:
    """In `function` of `module`, `old` becomes `new`.

    module     as in tests/mutants/copies.py, without its package: `kernels.timing`.
    function   as much of its qualified name as tells it from others in the module (`elaborate`, `Fifo.elaborate`); a class will
               do, and so will nothing: then it is the whole module.
    old, new   an expression, statements, or a keyword argument, written `name=value`. Without `new`, statements are left out.
    """

    module: str
    function: str
    old: str
    new: str = ""


@dataclass(frozen=True)
class Site:
    """Where a pattern fits: `length` statements from `start` in a block, or the one node that is `start` (or all) of a field."""

    owner: ast.AST
    field: str
    start: int | None
    length: int
    bound: Bound

    @property
    def node(self) -> Any:
        found = getattr(self.owner, self.field)
        return found if self.start is None else found[self.start]

    def put(self, new: list[ast.AST]) -> None:
        """Replaces what is there by copies of `new`, with what `any_x` stood for in its place."""
        made = [part for node in new for part in _filled(deepcopy(node), self.bound)]
        for node in made:
            ast.copy_location(node, self.node)
        if self.start is None:
            setattr(self.owner, self.field, made[0])
            return
        block = getattr(self.owner, self.field)
        block[self.start : self.start + self.length] = made
        if not block:
            block.append(ast.copy_location(ast.Pass(), self.owner))


def apply(edit: Edit, tree: ast.Module, where: str) -> None:
    """Edits `tree`. `where` names the file in errors."""
    old, new = parsed(edit.old), parsed(edit.new)
    here = f"{where}, {edit.function or 'the whole module'}"
    if not old:
        raise EditError(f"{here}: {edit.old!r} is nothing; write what is to be replaced")
    if ast.dump(ast.Module(old, [])) == ast.dump(ast.Module(new, [])):
        raise EditError(f"{here}: {edit.old!r} becomes itself; write what it is to become")
    place = place_of(edit, old, tree, where)
    found = sites(old, new, place)
    if len(found) == 1:
        site, how = found[0]
        site.put(how)
        ast.fix_missing_locations(tree)
        return
    if found:
        lines = ", ".join(str(site.node.lineno) for site, _ in found)
        raise EditError(
            f"{here}: found {len(found)} times (lines {lines}), expected once:\n{_shown(edit.old)}\nSay more of what surrounds "
            "it, or name a smaller function.")
    raise EditError(f"{here}: found nowhere:\n{_shown(edit.old)}\n{_advice(old, new, tree, place)}")


def parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(dedent(text).strip()).body
    except SyntaxError as error:
        raise EditError(f"{text!r} is no Python ({error.msg}); write an expression, statements or a keyword argument") from error


# -- where --------------------------------------------------------------------------------------------------------


def places(tree: ast.AST, above: str = "") -> Iterator[tuple[str, Place]]:
    """Every function and class of a module with its qualified name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield above + node.name, node
            yield from places(node, f"{above}{node.name}.")
        else:
            yield from places(node, above)


def place_of(edit: Edit, old: list[ast.stmt], tree: ast.Module, where: str) -> Place:
    if not edit.function:
        return tree
    named = [(name, node) for name, node in places(tree) if f".{name}".endswith(f".{edit.function}")]
    if len(named) == 1:
        return named[0][1]
    if named:
        raise EditError(f"{where}: {edit.function!r} is one of {', '.join(name for name, _ in named)}; say which")
    elsewhere = _elsewhere(old, parsed(edit.new), tree) or "and nothing in it looks like"
    raise EditError(f"{where} has no function {edit.function!r}; {elsewhere}:\n{_shown(edit.old)}")


def sites(old: list[ast.stmt], new: list[ast.stmt], place: ast.AST) -> list[tuple[Site, list[ast.AST]]]:
    """Where `old` fits in a place, and what is to stand there; expressions if both are, or else statements."""
    expressions = [_expression(each) for each in (old, new)]
    if all(expressions):
        return [(site, [expressions[1]]) for site in _nodes(expressions[0], place)]
    found: list[tuple[Site, list[ast.AST]]] = [(site, list(new)) for site in _blocks(old, place)]
    keywords = [_keyword(each) for each in (old, new)]
    if all(keywords):
        found += [(site, [keywords[1]]) for site in _nodes(keywords[0], place)]
    return found


def _expression(block: list[ast.stmt]) -> Any:
    return block[0].value if len(block) == 1 and isinstance(block[0], ast.Expr) else None


def _keyword(block: list[ast.stmt]) -> Any:
    """`name = value` as a keyword argument."""
    if len(block) == 1 and isinstance(block[0], ast.Assign) and isinstance(block[0].targets[0], ast.Name):
        return ast.keyword(block[0].targets[0].id, block[0].value)
    return None


def _nodes(pattern: ast.AST, place: ast.AST) -> Iterator[Site]:
    for owner in ast.walk(place):
        for field, value in ast.iter_fields(owner):
            for start, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                bound: Bound = {}
                if isinstance(node, ast.AST) and fits(pattern, node, bound):
                    yield Site(owner, field, start, 1, bound)


def _blocks(pattern: list[ast.stmt], place: ast.AST) -> Iterator[Site]:
    least = sum(_statements(each) is None for each in pattern)
    for owner in ast.walk(place):
        for field, block in ast.iter_fields(owner):
            if not (isinstance(block, list) and block and isinstance(block[0], ast.stmt)):
                continue
            for start in range(len(block)):
                for length in range(max(1, least), (len(block) - start if least < len(pattern) else least) + 1):
                    bound: Bound = {}
                    if fits(pattern, block[start : start + length], bound):
                        yield Site(owner, field, start, length, bound)


# -- comparing ----------------------------------------------------------------------------------------------------


def fits(pattern: Any, found: Any, bound: Bound) -> bool:
    """Whether `found` is what the pattern says; `bound` learns what `any_x` stands for."""
    if isinstance(pattern, ast.Name) and pattern.id.startswith(WILD):
        return isinstance(found, ast.expr) and _binds(pattern.id, found, bound)
    if isinstance(pattern, list):
        return isinstance(found, list) and _all_fit(pattern, found, bound)
    if isinstance(pattern, ast.AST):
        return type(pattern) is type(found) and all(
            fits(getattr(pattern, field, None), getattr(found, field, None), bound)
            for field in pattern._fields if field not in LAYOUT)
    return type(pattern) is type(found) and bool(pattern == found)


def _all_fit(patterns: list[Any], found: list[Any], bound: Bound) -> bool:
    if not patterns:
        return not found
    first, *rest = patterns
    name = _statements(first)
    if name is None:
        return bool(found) and fits(first, found[0], bound) and _all_fit(rest, found[1:], bound)
    for taken in range(len(found), -1, -1):
        learnt = dict(bound)
        if _binds(name, found[:taken], learnt) and _all_fit(rest, found[taken:], learnt):
            bound.update(learnt)
            return True
    return False


def _statements(node: Any) -> str | None:
    """The name of a statement that stands for any number of them."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Name) and node.value.id.startswith(WILD):
        return node.value.id
    return None


def _binds(name: str, found: Any, bound: Bound) -> bool:
    return fits(bound.setdefault(name, found), found, {})


def _filled(node: Any, bound: Bound) -> list[Any]:
    """`node` with what was bound in the place of each `any_x`: one node, or any number of statements."""
    if not isinstance(node, ast.AST):
        return [node]
    name = _statements(node) or (node.id if isinstance(node, ast.Name) and node.id.startswith(WILD) else None)
    if name is not None:
        if name not in bound:
            raise EditError(f"{name} stands for nothing: it is not in what is replaced")
        found = deepcopy(bound[name])
        return found if isinstance(found, list) else [ast.Expr(found)] if isinstance(node, ast.stmt) else [found]
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(node, field, [part for each in value for part in _filled(each, bound)])
        elif isinstance(value, ast.AST):
            setattr(node, field, _filled(value, bound)[0])
    return [node]


# -- what to say when nothing fits --------------------------------------------------------------------------------


def _shown(text: str) -> str:
    return indent(dedent(text).strip(), "    ")


def _elsewhere(old: list[ast.stmt], new: list[ast.stmt], tree: ast.Module) -> str:
    """Names the smallest functions that the pattern is in."""
    inside = [name for name, node in places(tree) if sites(old, new, node)]
    smallest = [name for name in inside if not any(other.startswith(f"{name}.") for other in inside)]
    return f"this is now in {', '.join(smallest)}" if smallest else ""


def _advice(old: list[ast.stmt], new: list[ast.stmt], tree: ast.Module, place: Place) -> str:
    if elsewhere := _elsewhere(old, new, tree):
        return f"But {elsewhere}; name that."
    wanted: Any = _expression(old) or old[0]
    alike = {ast.unparse(node) for node in ast.walk(place) if isinstance(node, type(wanted))}
    closest = difflib.get_close_matches(ast.unparse(wanted), alike, 1, 0.4)
    found = f"Most like it:\n{_shown(closest[0])}\n" if closest else ""
    return f"{found}The source has moved on: write the edit anew, so that it breaks its rule again."
