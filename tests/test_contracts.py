"""Codings, schedules and kinds of cores are asked, not compared: their names are compared in their own files only.

Every module of hwsim is parsed. Found are comparisons with a name, however the name came there: written out, through a constant
(imported ones too), a local variable or a parameter, as a part of the word, in a `match`; dictionaries that choose by such names;
and types of neurons asked for with `isinstance`. The names come from the registries, so a new model, schedule or kind is looked
for as soon as it is listed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from hwsim.cores import KINDS
from hwsim.schedules import SCHEDULES
from hwsim.snn.network import ENCODINGS, INPUT_CODINGS
from hwsim.snn.neurons import MODELS

ROOT = Path(__file__).resolve().parents[1] / "hwsim"
Words = frozenset[str]
CODINGS = frozenset({*(model.coding for model in MODELS.values()), *ENCODINGS, *INPUT_CODINGS})
NEURONS = frozenset(MODELS)
ORDERS = frozenset(SCHEDULES)
CORES = frozenset({*KINDS, "odin"})
OWN = {CODINGS: ("snn/neurons/", "snn/network.py"), NEURONS: ("snn/neurons/", "snn/network.py"), ORDERS: ("schedules/",),
       CORES: ("cores/",)}
"""Where the names live."""
ASKED = {"coding": CODINGS, "codings": CODINGS, "encoding": CODINGS, "input_coding": CODINGS, "source_coding": CODINGS,
         "model": NEURONS, "neuron": NEURONS, "schedule": ORDERS, "schedules": ORDERS, "kind": CORES, "kinds": CORES}
"""What holds a name, and the names that it must not be compared with."""
COMMON = frozenset({"rate", "direct", "spikes", "readout", "event"})
"""Names that are also words of other things (a pass reads out, a learning rate): found only beside what holds such a name."""
OTHERS = frozenset({"multiplier"})
"""What holds another choice that shares a word: a core's multiplier may be bit-serial."""
TYPES = frozenset(model.__name__ for model in MODELS.values())
STRING_METHODS = frozenset({"startswith", "endswith", "find", "index", "count", "removeprefix", "removesuffix", "split",
                            "partition"})

LOOKUPS: dict[str, tuple[str, ...]] = {
    # An option's word, looked up in a table of what it asks for.
    "capture/nir_graph.py": ("{'spikes', 'direct'}", "encoding not in driven", "driven[encoding]"),
    "cli/train.py": ("{None, 'bit_serial', 'rate'}", "coding not in _HIGHEST", "_HIGHEST[coding]"),
    # The words of an input, which a caller gave, looked up among those that there are.
    "snn/validate.py": ("spec.encoding not in ENCODINGS", "spec.coding not in INPUT_CODINGS",
                        "INPUT_CODINGS.get(spec.coding)", "INPUT_CODINGS.get(spec.coding) != spec.carries"),
    # A field of the formats of test vectors, and the PassTable that it stands for.
    "verify/run_cases.py": ("{'rate', 'bit_serial'}", "TABLES[coding]"),
    # Words of the accounts' data files.
    "accounts/published/datta_2021.py": ("self.choices['input'] == 'hybrid'",),
    # Names of methods, of a network's twins and of examples, which happen to be those of codings too.
    "cli/convert.py": ("method != 'bit_serial'",),
    "cli/convert_own.py": ("name in ('bit_serial', 'rate')", "{'float', 'ann', 'bit_serial', 'rate'}"),
    "convert/own.py": ("{'ann', 'bit_serial', 'rate'}",),
    "trace/shipped.py": ("name not in EXAMPLES", "str(given) in EXAMPLES", "{'bit_serial', 'rate', 'ann'}"),
    # Looks of lines, with one for schedules that the figure does not know.
    "view/scaling.py": ("{'layer_by_layer', 'step_by_step', 'pipelined'}", "COLOURS.get(schedule, INK)",
                        "THICK.get(schedule, 1.1)"),
}
"""All that is allowed: words of a user or of a file, where they are read. Each is one expression, as `shown` prints it."""


def written(node: ast.AST) -> Words:
    """Strings that a literal, or a container of literals, consists of."""
    keywords = node.keywords if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" else []
    values = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return frozenset({*(k.arg for k in keywords if k.arg), *(value for value in values if isinstance(value, str))})


def is_literal(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("frozenset", "set", "tuple", "dict")
    return isinstance(node, ast.Constant | ast.Tuple | ast.List | ast.Set | ast.Dict)


def targets(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What is given a value by this node, and the value."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign) and node.value is not None or isinstance(node, ast.NamedExpr | ast.AugAssign):
        yield node.target, node.value  # type: ignore[misc]
    elif isinstance(node, ast.For | ast.comprehension):
        yield node.target, node.iter


class Scope:
    """One function, or what stands outside of all: which variables hold names, and which constants words.

    given   what the function's callers in the same module give it, by parameter.
    """

    def __init__(self, tree: ast.AST, constants: Mapping[str, Words], given: Mapping[str, Words] | None = None) -> None:
        self.tree, self.constants = tree, dict(constants)
        self.held: dict[str, Words] = dict(given or {})
        pairs = [pair for node in ast.walk(tree) for pair in targets(node)]
        for target, value in pairs:
            if isinstance(target, ast.Name) and is_literal(value):
                self.constants[target.id] = self.constants.get(target.id, frozenset()) | written(value)
        before: dict[str, Words] | None = None
        while before != self.held:
            before = dict(self.held)
            for target, value in pairs:
                if words := self.holds(value):
                    for name in (n.id for n in ast.walk(target) if isinstance(n, ast.Name)):
                        self.held[name] = self.held.get(name, frozenset()) | words

    def holds(self, node: ast.AST | None) -> Words:
        """The names that a value may be: `x.coding`, `row["schedule"]`, `network.source_coding(c)`, and what is made of them."""
        if isinstance(node, ast.Attribute):
            return ASKED.get(node.attr, frozenset())
        if isinstance(node, ast.Name):
            return ASKED.get(node.id, frozenset()) | self.held.get(node.id, frozenset())
        if isinstance(node, ast.Call):
            named = frozenset().union(*(ASKED.get(word, frozenset()) for a in node.args if is_literal(a) for word in written(a)))
            inside = self.holds(node.func.value) if isinstance(node.func, ast.Attribute) else frozenset()
            return frozenset().union(named, inside, self.holds(node.func), *map(self.holds, node.args))
        if isinstance(node, ast.Subscript):
            key = ASKED.get(node.slice.value, frozenset()) if isinstance(node.slice, ast.Constant) else frozenset()
            return key | self.holds(node.value)
        if isinstance(node, ast.Dict):
            return frozenset().union(*map(self.holds, (*node.keys, *node.values)))
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return frozenset().union(*map(self.holds, node.elts))
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            return self.holds(node.elt)
        if isinstance(node, ast.IfExp):
            return self.holds(node.body) | self.holds(node.orelse)
        if isinstance(node, ast.BoolOp):
            return frozenset().union(*map(self.holds, node.values))
        if isinstance(node, ast.NamedExpr | ast.Starred | ast.FormattedValue | ast.DictComp):
            return self.holds(node.value)
        if isinstance(node, ast.JoinedStr):
            return frozenset().union(*map(self.holds, node.values))
        return frozenset()

    def words(self, node: ast.AST) -> Words:
        """Strings of an expression, those of the constants that it names included."""
        named = (self.constants.get(n.id, frozenset()) for n in ast.walk(node) if isinstance(n, ast.Name))
        return written(node).union(*named)

    def compared(self, sides: list[ast.AST], every: Words) -> bool:
        said = frozenset[str]().union(*map(self.words, sides)) & every
        apart = any(getattr(side, "attr", getattr(side, "id", "")) in OTHERS for side in sides)
        return bool(said - COMMON and not apart or said & frozenset().union(*map(self.holds, sides)))

    def found(self, node: ast.AST, every: Words) -> bool:
        """Whether the node chooses by one of the names `every`."""
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            return self.compared(sides, every) or self._of_classes(sides, every)
        if isinstance(node, ast.Match):
            return any(self.compared([node.subject, case.pattern], every) for case in node.cases)
        if isinstance(node, ast.Dict):
            return len(frozenset().union(*(written(key) for key in node.keys if isinstance(key, ast.Constant))) & every) > 1
        if isinstance(node, ast.Subscript):
            return bool(self.holds(node.slice) & self.words(node.value) & every)
        if isinstance(node, ast.Call):
            return self._called(node, every)
        return False

    def _called(self, node: ast.Call, every: Words) -> bool:
        said = [written(a) for a in node.args]
        if isinstance(node.func, ast.Name):
            types = {n.id for a in node.args[1:] for n in ast.walk(a) if isinstance(n, ast.Name)}
            return node.func.id in ("isinstance", "issubclass") and every == NEURONS and bool(types & TYPES)
        if not isinstance(node.func, ast.Attribute):
            return False
        held = self.holds(node.func.value) & every
        if node.func.attr in STRING_METHODS:
            return any(part.strip("_") and part in word for part in frozenset().union(*said) for word in held)
        return node.func.attr == "get" and bool(
            self.words(node.func.value) & every & frozenset().union(*map(self.holds, node.args)))

    def _of_classes(self, sides: list[ast.expr], every: Words) -> bool:
        """Whether a name is compared with that of a class, `BitSerial.coding`, or a type with a class, `type(x) is BitSerial`."""
        owners = [s.value for s in sides if isinstance(s, ast.Attribute) and ASKED.get(s.attr) == every]
        if any(isinstance(owner, ast.Name) and owner.id[:1].isupper() for owner in owners):
            return True
        return every == NEURONS and any(isinstance(s, ast.Name) and s.id in TYPES for s in sides)


Given = dict[str, dict[str, Words]]


def scopes(tree: ast.Module, given: Given) -> Iterator[Scope]:
    """Each outermost function or method, and what stands outside of all. `given` by function, then parameter."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    imported = {alias.asname or alias.name: constants_of(node.module).get(alias.name, frozenset())
                for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module for alias in node.names}
    module = Scope(ast.Module([s for s in tree.body if not isinstance(s, functions | ast.ClassDef)], []), imported)
    yield module
    for top in tree.body:
        if isinstance(top, functions):
            yield Scope(top, module.constants, given.get(top.name))
        elif isinstance(top, ast.ClassDef):
            body = Scope(ast.Module([s for s in top.body if not isinstance(s, functions)], []), module.constants)
            yield body
            yield from (Scope(s, body.constants, given.get(s.name)) for s in top.body if isinstance(s, functions))


@cache
def constants_of(module: str) -> dict[str, Words]:
    """Words of the constants that a module of hwsim defines."""
    path = places().get(module.removeprefix("hwsim.").replace(".", "/") + ".py")
    if path is None:
        return {}
    body = [s for s in ast.parse(path.read_text()).body if isinstance(s, ast.Assign | ast.AnnAssign)]
    return Scope(ast.Module(list(body), []), {}).constants


def passed_on(tree: ast.Module) -> Given:
    """Names that the functions of a module are called with by each other, by function and parameter."""
    functions = {n.name: n.args for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    given: Given = {}
    size = -1
    while size != (size := sum(len(words) for each in given.values() for words in each.values())):
        calls = [(scope, node) for scope in scopes(tree, given) for node in ast.walk(scope.tree) if isinstance(node, ast.Call)]
        for scope, call in calls:
            method = isinstance(call.func, ast.Attribute)
            name = getattr(call.func, "attr" if method else "id", "")
            if name not in functions:
                continue
            names = [a.arg for a in (*functions[name].posonlyargs, *functions[name].args)]
            places = zip(names[method and names[:1] in (["self"], ["cls"]):], call.args, strict=False)
            for parameter, value in (*places, *((k.arg, k.value) for k in call.keywords)):
                if parameter and (words := scope.holds(value)):
                    each = given.setdefault(name, {})
                    each[parameter] = each.get(parameter, frozenset()) | words
    return given


def shown(node: ast.AST) -> str:
    """An expression as Python prints it; of a dictionary the keys."""
    if isinstance(node, ast.Dict):
        return f"{{{', '.join(ast.unparse(key) for key in node.keys if key)}}}"
    return ast.unparse(node)


def found_in(text: str, place: str = "somewhere.py") -> list[str]:
    """Expressions of a module that choose by the names of others."""
    foreign = [every for every, own in OWN.items() if not place.startswith(own)]
    tree = ast.parse(text)
    return list({shown(node): None for scope in scopes(tree, passed_on(tree)) for node in ast.walk(scope.tree)
                 for every in foreign if scope.found(node, every)})


@cache
def places() -> dict[str, Path]:
    return {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}


@pytest.mark.parametrize("place", places())
def test_names_are_compared_in_their_own_files_only(place: str) -> None:
    assert set(found_in(places()[place].read_text(), place)) == set(LOOKUPS.get(place, ()))


PLANTED = (
    'if layer.coding == "bit_serial": pass', 'x = "systolic" != arch.core.kind', 'z = schedule == "step_by_step"',
    'y = network.source_coding(c) in ("direct", "hybrid")', 'if network.input.encoding != "spikes": pass',
    # through a constant, a local variable, a loop, a tuple
    'RATES = ("rate", "single_spike")\ndef f(layer): return layer.coding in RATES',
    'def f(layer):\n    own = layer.coding\n    return own == "rate"',
    'def f(layer):\n    if (own := layer.coding) == "rate": pass',
    'def f(network):\n    own, planes = network.source_coding(c), 4\n    return own == "direct"',
    'x = {layer.coding for layer in network if layer.coding != "readout"}', 'x = any(c == "rate" for c in map(f, trace.codings))',
    'def f(network):\n    for kind, n in count(layer.coding for layer in network): x = kind == "rate"',
    'def f(network):\n    found = {n: layer.coding for n, layer in network}\n    return ("direct") in found.values()',
    'def f(layer): return is_rate(layer.coding)\ndef is_rate(word): return word == "rate"',
    'class A:\n    def f(self, layer): return self.g(word=layer.coding)\n    def g(self, word): return word == "rate"',
    'from hwsim.snn.network import ENCODINGS\nx = spec.encoding in ENCODINGS[:2]',
    'x = row["coding"] == "rate"', 'x = row.get("coding") == "rate"', 'x = getattr(layer, "coding") == "rate"',
    'x = str(layer.coding).lower() == "rate"', 'x = f"{layer.coding}" == "rate"',
    # without being told what it is
    'x = word == "two_stage"', 'x = chosen in ("layer_by_layer", "other")', 'x = "multiply_accumulate" in names',
    'x = layer.neuron.model == "read_out"', 'x = kinds.count("systolic") == 1 or "systolic" in kinds',
    # parts of names, and names without their text
    'x = layer.coding.startswith("bit")', 'x = layer.coding.endswith("_serial")', 'x = layer.coding == BitSerial.coding',
    'x = isinstance(layer.neuron, BitSerial)', 'x = isinstance(layer.neuron, (TwoStage, Other))', 'x = type(neuron) is ReadOut',
    # other ways to choose
    'match layer.coding:\n    case "rate": pass', 'match layer.coding:\n    case "x" | "rate": pass',
    'match word:\n    case "step_by_step": pass', 'match (layer.coding, 4):\n    case ("rate", 4): pass',
    'x = {"rate": 1}[layer.coding]', 'x = {"rate": 1}.get(layer.coding, 2)', 'x = {"rate": f, "bit_serial": g}',
    'BITS = {"rate": 1}\ndef f(layer): return BITS[layer.coding]', 'x = dict(rate=1).get(layer.coding)',
    'x = 1 if trace.coding == "quantised" else 2', 'assert trace.coding == "rate"', 'while x.schedule == "pipelined": pass',
    'def f():\n    return lambda layer: layer.coding == "rate"',
)
SOUND = (
    'w = op.kind == "run"', 'x = core.multiplier == "bit_serial"',
    't = p.kind == "readout"', 'v = layer.sends', 'u = name == "rate"', 'x = a.coding == b.coding',
    'x = layer.carries == "spikes"', 'x = {"spikes": 1, "cycles": 2}', 'x = row["event"] == "event"', 'x = word in SCHEDULES',
    'x = MODELS[layer.neuron.model]', 'x = f"coding:{layer.coding}"', 'x = layer.coding.replace("_", " ")',
    'x = isinstance(value, Neuron)', 'x = InputSpec(shape, "spikes", 4)', 'x = design.with_core(kind="systolic")',
)


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_comparison_is_found(text: str) -> None:
    assert found_in(text)


@pytest.mark.parametrize("text", SOUND)
def test_what_asks_is_not_found(text: str) -> None:
    assert not found_in(text)


@pytest.mark.parametrize(("place", "text"), [
    ("snn/neurons/x.py", 'layer.coding == "rate"'), ("schedules/x.py", 'schedule == "step_by_step"'),
    ("cores/x.py", 'kind == "event"'),
])
def test_names_are_compared_at_home_only(place: str, text: str) -> None:
    assert not found_in(text, place)
    homes = {home for own in OWN.values() for home in own} - {place.rsplit("/", 1)[0] + "/"}
    assert all(found_in(text, home) for home in homes - {"snn/network.py" if "neurons" in place else ""})


def test_every_lookup_names_a_module() -> None:
    assert set(LOOKUPS) <= set(places())
