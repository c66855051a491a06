"""Identity of a program: digests of the definitions that it can reach, which do not change for a comment.

Snakemake does not see the modules that a script imports, and a fresh clone's time stamps would re-run everything; a
digest over these definitions is what rules carry as `code` instead. A definition is a function, a class or a constant
at the top of a module. Names are followed as they are written, and wherever that does not tell what is meant, all that
may be meant counts: a digest may change without need, but never stays when a result could differ.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

# What a module does when it is imported, beyond imports and definitions.
LEVEL = "module level"

# Names behind which any other name of the module may be meant, or any module.
ANY_NAME = {"__name__", "dir", "eval", "exec", "globals", "locals", "vars"}
# Those of them that look into an argument instead where they have one.
OF_ARGUMENT = {"dir", "vars"}
ANY_MODULE = re.compile(r"__import__|importlib(\.(import_module|machinery|reload|util).*)?|pkgutil.*|runpy.*")

# What has no effect beyond its value when it is called. A definition that calls anything else while its module is
# imported (a decorator that enters it in a registry, say) counts for all who import the module.
EFFECTLESS = re.compile(
    r"bool|bytes|classmethod|dict|enumerate|float|frozenset|int|len|list|max|min|property|range|reversed|set|sorted"
    r"|staticmethod|str|sum|tuple|zip"
    r"|(collections|contextlib|dataclasses|decimal|functools|itertools|math|pathlib|re|typing)\..*|torch\.no_grad"
)

# Where definitions are remembered, as Python remembers compiled modules: finding them takes longer than all the rest of
# a program's start.
MEMORY = Path("__pycache__/definitions.json")

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
DOCUMENTED = (ast.Module, *DEFINITIONS)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
IMPORTS = (ast.Import, ast.ImportFrom)


@cache
def digest(script: Path) -> str:
    """Identity of a program: a digest (12 hex digits) of its `definitions`."""
    return _digest(json.dumps(definitions(script), sort_keys=True))


@cache
def definitions(script: Path) -> dict[str, str]:
    """Digests (12 hex digits) of all definitions that a program can reach.

    Args:
        script: the program, in the folder that holds the project's packages.

    Returns:
        by `scripts/FILE: NAME`; what runs when a module is imported is its `module level`, and a file of another kind
        that the program may read stands by its path alone.
    """
    script = script.resolve()
    known = _known(script.parent)
    if script.name not in known["programs"]:
        known["programs"][script.name] = find_definitions(script)
        # Without a place to remember them, each process finds them again.
        with suppress(OSError):
            _remember(script.parent, known)
    return known["programs"][script.name]


def find_definitions(script: Path, read: Callable[[Path], bytes] = Path.read_bytes) -> dict[str, str]:
    """Find the `definitions` of a program in its sources, without remembering them.

    Args:
        script: the program, in the folder that holds the project's packages; an absolute path.
        read: gives the content of a source file, which may differ from what is on disk.
    """
    reach = _Reach(script, read)
    # This module decides when a program runs again, and not what it computes.
    reached = {(path, name) for path, name in reach.definitions if path.parts[-2:] != Path(__file__).parts[-2:]}
    found = {f"{reach.label(path)}: {name}": reach.module(path).digest(name) for path, name in reached}
    found |= {reach.label(path): _digest(read(path)) for path in reach.files}
    return dict(sorted(found.items()))


class _Reach:
    """What a program can reach: `definitions`, each a module's path and a name in it, and other `files`."""

    def __init__(self, script: Path, read: Callable[[Path], bytes]):
        self.root = script.parent
        self._read = read
        self._modules: dict[Path, _Module] = {}
        self.definitions: set[tuple[Path, str]] = set()
        self.files: set[Path] = set()
        self._loaded: set[Path] = set()
        self._whole: set[Path] = set()
        self._todo: list[tuple[Path, str]] = []
        self._load(script)
        self._take_all(script)
        while self._todo:
            self._follow(*self._todo.pop())

    def label(self, path: Path) -> str:
        """What a file is called."""
        return f"scripts/{path.relative_to(self.root).as_posix()}"

    def module(self, path: Path) -> _Module:
        """The module in a file."""
        if path not in self._modules:
            self._modules[path] = _module(self.root, path, self._read(path))
        return self._modules[path]

    def _follow(self, path: Path, name: str) -> None:
        """Take what a definition refers to."""
        module = self.module(path)
        unit = module.units[name]
        for target in unit.loads:
            self._find(target)
        for reference in unit.references:
            first = _first(reference)
            for meaning in _meanings(reference, unit.imports) | _meanings(reference, module.imports):
                self._take(meaning)
            if first in module.units:
                self._take_name(path, first)
            elif first in ANY_NAME:
                self._take_all(path)
            elif ANY_MODULE.fullmatch(first):
                self._take_package()
        for text in unit.strings:
            if re.fullmatch(r"\w+(\.\w+)+", text) and (self.root / _first(text)).is_dir():
                self._take(text)
            self.files |= {file for file, parts in _others(self.root) if not parts.isdisjoint(text.split("/"))}

    def _take(self, dotted: str) -> None:
        """Take what a dotted name means, if that is the project's."""
        if ANY_MODULE.fullmatch(dotted):
            self._take_package()
        modules = self._find(dotted)
        for path, names in modules:
            # A package may itself define what a module in it is called.
            if path == modules[-1][0] or _first(names) in self.module(path).units:
                self._take_name(path, names)

    def _take_name(self, path: Path, names: str) -> None:
        """Take a name of a module, its attributes behind it; the whole module where that is not plain."""
        module = self.module(path)
        name = _first(names)
        if name in module.units:
            if (path, name) not in self.definitions:
                self.definitions.add((path, name))
                self._todo.append((path, name))
        elif name in module.imports:
            for meaning in _meanings(names, module.imports):
                self._take(meaning)
        else:
            self._take_all(path)

    def _take_all(self, path: Path) -> None:
        """Take a whole module, with the definitions of others that it hands on."""
        if path in self._whole:
            return
        self._whole.add(path)
        module = self.module(path)
        for name in module.units:
            self._take_name(path, name)
        for target in set().union(*module.imports.values()):
            for other, names in self._find(target)[-1:]:
                if names:
                    self._take_name(other, names)

    def _take_package(self) -> None:
        """Take all modules of all packages."""
        for path in sorted(self.root.glob("*/**/*.py")):
            self._load(path)
            self._take_all(path)

    def _find(self, dotted: str) -> list[tuple[Path, str]]:
        """Import the project's modules that a dotted name begins with.

        Returns:
            each of them, outermost first, with what follows it in the name.
        """
        modules, at, rest = [], self.root, dotted
        while rest:
            part, _, rest = rest.partition(".")
            at /= part
            file, is_folder = _importable(at)
            if file:
                self._load(file)
                modules.append((file, rest))
            elif not is_folder:
                break
        return modules

    def _load(self, path: Path) -> None:
        """Import a module: it imports others, and may act on more than its own names."""
        if path in self._loaded:
            return
        self._loaded.add(path)
        module = self.module(path)
        for target in module.loads:
            self._find(target)
        for name, unit in module.units.items():
            if name == LEVEL or self._acts(module, unit):
                self._take_name(path, name)

    def _acts(self, module: _Module, unit: _Unit) -> bool:
        """Whether a definition may have an effect while its module is imported, or be found by its base class."""
        for name in unit.called:
            meanings = _meanings(name, module.imports) or {name}
            if _first(name) in module.units or not all(map(EFFECTLESS.fullmatch, meanings)):
                return True
        own = [name for name in unit.inherited if _first(name) in module.units]
        return bool(own) or any(self._find(one) for name in unit.inherited for one in _meanings(name, module.imports))


class _Module:
    """A module: its definitions by name, and what its imports bind and load."""

    def __init__(self, root: Path, path: Path, source: bytes):
        package = ".".join(path.relative_to(root).parts[:-1])
        statements: dict[str, list[ast.stmt]] = {LEVEL: []}
        imports: list[ast.stmt] = []
        for statement in ast.parse(source, path).body:
            if isinstance(statement, IMPORTS):
                imports += [] if getattr(statement, "module", None) == "__future__" else [statement]
            elif not _is_text(statement):
                for name in _defined(statement) or [LEVEL]:
                    statements.setdefault(name, []).append(statement)
        self.units = {name: _Unit(own, package) for name, own in statements.items()}
        level = self.units[LEVEL]
        bound = _Unit([*imports, *level.statements], package)
        self.imports, self.loads = bound.imports, bound.loads
        # What nobody names was imported for its effects; those of the project's modules are theirs.
        named = {_first(reference) for unit in self.units.values() for reference in unit.references}
        for statement in imports:
            unit = _Unit([statement], package)
            if not named & unit.imports.keys() and not any(any(_importable(root / _first(one))) for one in unit.loads):
                level.statements.append(statement)
        if not level.statements:
            del self.units[LEVEL]
        self._digests: dict[str, str] = {}

    def digest(self, name: str) -> str:
        """Digest of a definition, and of what the imports that it uses mean."""
        if name not in self._digests:
            unit = self.units[name]
            used = {_first(reference) for reference in unit.references} & self.imports.keys()
            meant = [(one, sorted(self.imports[one])) for one in sorted(used)]
            self._digests[name] = _digest(repr((_canonical(unit.statements), meant)))
        return self._digests[name]


class _Unit:
    """A definition's statements, and what they refer to.

    Attributes:
        references: names from outside it, with attributes as far as they are written (`training.arguments`).
        strings: constants; a module or a file may be meant.
        imports: what the names that it imports itself stand for, dotted.
        loads: what these imports load, dotted.
        called: what is called while its module is imported; `?` is anything.
        inherited: bases of a class.
    """

    def __init__(self, statements: list[ast.stmt], package: str):
        self.statements = statements
        self.references: set[str] = set()
        self.strings: set[str] = set()
        self.imports: dict[str, set[str]] = {}
        self.loads: set[str] = set()
        self._refer(statements, frozenset())
        self.called = {name for statement in statements for name in _called(statement)}
        bases = (base for statement in statements for base in getattr(statement, "bases", []))
        self.inherited = {_dotted(base) or "?" for base in bases}
        for node in (node for statement in statements for node in ast.walk(statement)):
            if isinstance(node, IMPORTS):
                self._bind(node, package)

    def _bind(self, node: ast.Import | ast.ImportFrom, package: str) -> None:
        """Note what an import binds and loads."""
        source = ""
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            source = ".".join([*above, *filter(None, [node.module]), ""])
        for alias in node.names:
            self.loads.add(source + alias.name)
            # `import a.b` binds a.
            name = alias.name if alias.asname or source else _first(alias.name)
            self.imports.setdefault(alias.asname or name, set()).add(source + name)

    def _refer(self, nodes: Iterable[ast.AST], bound: frozenset[str]) -> None:
        """Note what nodes refer to; `bound` are the names of the scopes they lie in."""
        for node in nodes:
            kind = type(node)
            if kind is ast.Name or kind is ast.Attribute:
                name = _dotted(node)
                if name is None:
                    self._refer([node.value], bound)
                elif _first(name) not in bound and not (kind is ast.Name and type(node.ctx) is ast.Store):
                    self.references.add(name)
            elif kind is ast.Constant:
                if type(node.value) is str:
                    self.strings.add(node.value)
            elif kind is ast.Call and node.args and _dotted(node.func) in OF_ARGUMENT:
                self._refer([*node.args, *node.keywords], bound)
            elif kind in FUNCTIONS:
                body = node.body if type(node.body) is list else [node.body]
                self._refer(body, _scope(node.args, body, bound))
                returns = [node.returns] if getattr(node, "returns", None) else []
                self._refer([node.args, *returns, *getattr(node, "decorator_list", [])], bound)
            elif kind in COMPREHENSIONS:
                # What the first loop runs over is looked up outside.
                self._refer([node.generators[0].iter], bound)
                targets = (name for loop in node.generators for name in ast.walk(loop.target))
                inside = bound | {name.id for name in targets if type(name) is ast.Name}
                for child in ast.iter_child_nodes(node):
                    if child is node.generators[0]:
                        self._refer([child.target, *child.ifs], inside)
                    else:
                        self._refer([child], inside)
            else:
                self._refer(ast.iter_child_nodes(node), bound)


def _scope(arguments: ast.arguments, body: list[ast.AST], bound: frozenset[str]) -> frozenset[str]:
    """Names that are not the module's in a function's body; `bound` are those around the function."""
    own = {one.arg for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    own |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
    modules, todo = set(), [*body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Global):
            modules.update(node.names)
        elif isinstance(node, DEFINITIONS):
            own.add(node.name)
        elif isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                own.add(node.id)
        elif not isinstance(node, (ast.Lambda, *COMPREHENSIONS, *IMPORTS)):
            # An exception handler and parts of a pattern bind a name of theirs.
            own |= {name for name in (getattr(node, "name", None), getattr(node, "rest", None)) if name}
            todo += ast.iter_child_nodes(node)
    return (bound | own) - modules


def _defined(statement: ast.stmt) -> set[str]:
    """Names that a statement defines, if it does nothing else."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", statement)]
    nodes = [node for target in targets for node in ast.walk(target)]
    assigns = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign))
    plain = all(isinstance(node, (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.expr_context)) for node in nodes)
    return {node.id for node in nodes if isinstance(node, ast.Name)} if assigns and plain else set()


def _called(statement: ast.stmt) -> Iterator[str]:
    """What is called for a definition while its module is imported, dotted; `?` is anything."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        decorators = getattr(node, "decorator_list", [])
        todo += [node.args, *decorators] if isinstance(node, FUNCTIONS) else ast.iter_child_nodes(node)
        functions = [one for one in decorators if not isinstance(one, ast.Call)]
        if isinstance(node, ast.Call):
            functions.append(node.func)
        elif isinstance(node, ast.ClassDef) and node.keywords:
            # A metaclass, or arguments to what the base does with its subclasses.
            yield "?"
        for function in functions:
            # A method of what was just made acts on that alone.
            if not (isinstance(function, ast.Attribute) and isinstance(function.value, (ast.Call, ast.Constant))):
                yield _dotted(function) or "?"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _dotted(node: ast.AST) -> str | None:
    """A name with its attributes as it is written; None for what is no name."""
    attributes = []
    while type(node) is ast.Attribute:
        attributes.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(attributes)]) if type(node) is ast.Name else None


def _first(dotted: str) -> str:
    return dotted.partition(".")[0]


def _meanings(dotted: str, imports: dict[str, set[str]]) -> set[str]:
    """What a name stands for by some imports."""
    first, dot, attributes = dotted.partition(".")
    return {target + dot + attributes for target in imports.get(first, ())}


@cache
def _module(root: Path, path: Path, source: bytes) -> _Module:
    return _Module(root, path, source)


@cache
def _importable(at: Path) -> tuple[Path | None, bool]:
    """The file that importing a path without suffix would run, if any, and whether it is a folder."""
    is_folder = at.is_dir()
    file = at / "__init__.py" if is_folder else at.with_name(f"{at.name}.py")
    return file if file.is_file() else None, is_folder


@cache
def _others(root: Path) -> list[tuple[Path, frozenset[str]]]:
    """Files of the packages that are no modules, and the parts of their paths."""
    files = [(path, path.relative_to(root).parts[1:]) for path in _files(root) if path.suffix != ".py"]
    return [(path, frozenset(parts)) for path, parts in files if parts]


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and MEMORY.parent.name not in path.parts)


@cache
def _known(root: Path) -> dict:
    """What was found before for the files of a folder as they are: `programs`, of each its definitions."""
    state = hashlib.sha256(Path(__file__).read_bytes())
    for path in _files(root):
        state.update(f"{path.relative_to(root)} {path.stat().st_size} ".encode())
        state.update(path.read_bytes())
    try:
        known = json.loads((root / MEMORY).read_text())
    except (OSError, ValueError):
        known = {}
    return known if known.get("state") == state.hexdigest() else {"state": state.hexdigest(), "programs": {}}


def _remember(root: Path, known: dict) -> None:
    file = root / MEMORY
    file.parent.mkdir(exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(json.dumps(known))
    partial.replace(file)


def _canonical(node: object) -> object:
    """The syntax tree as nested tuples, without positions, docstrings and empty fields.

    Fields that a newer Python adds are empty for older syntax, so the digest is the same on every version.
    """
    if isinstance(node, list):
        return tuple(_canonical(item) for item in node)
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = fields["body"][1:]
    return type(node).__name__, *(
        (name, _canonical(value)) for name, value in fields.items() if value not in (None, [])
    )


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()[:12]
