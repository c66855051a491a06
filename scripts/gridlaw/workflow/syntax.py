"""Python sources as units: the definitions of a module, what each refers to, and its canonical form.

A *unit* is a function, a class or a constant at the top level of a module. All other statements that run at import form
one more unit, the module's `LEVEL`. Comments, docstrings, layout and messages to people belong to no unit.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator

# Name of the unit of the statements that run at import, without imports and definitions.
LEVEL = "module level"

# These list the names of their argument, or without an argument those of the module.
LOOK_INTO_ARGUMENT = {"dir", "vars"}

# Calls without an effect beyond their value.
EFFECTLESS = re.compile(
    r"bool|bytes|classmethod|dict|enumerate|float|frozenset|int|len|list|max|min|property|range|reversed|set|sorted"
    r"|staticmethod|str|sum|tuple|type|zip"
    r"|(collections|contextlib|dataclasses|decimal|functools|itertools|math|pathlib|re|typing)\..*|torch\.no_grad"
)

# The exception that ends a program with one line for the user. No result depends on its text.
FAILURE = "Failure"
# Arguments of a command-line option that only people read.
HELP = {"help", "metavar"}

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
DOCUMENTED = (ast.Module, *DEFINITIONS)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
IMPORTS = (ast.Import, ast.ImportFrom)


class Module:
    """A module's units by name, and what its imports bind and load.

    Args:
        source: its text.
        path: its file, for messages.
        package: dotted name of its package.
        is_project: whether the first part of a dotted name is a module or package of the project.

    Raises:
        SyntaxError: the text is not Python.
    """

    def __init__(self, source: bytes, path: object, package: str, is_project: Callable[[str], bool]):
        tree = _MessageRemover().visit(ast.parse(source, str(path)))
        statements: dict[str, list[ast.stmt]] = {LEVEL: []}
        imports: list[ast.stmt] = []
        for statement in tree.body:
            if isinstance(statement, IMPORTS):
                imports += [] if getattr(statement, "module", None) == "__future__" else [statement]
            elif _is_for_type_checkers(statement):
                imports += [node for node in ast.walk(statement) if isinstance(node, IMPORTS)]
            elif not _is_text(statement):
                for name in _defined_names(statement) or [LEVEL]:
                    statements.setdefault(name, []).append(statement)
        self.units = {name: Unit(nodes, package, is_project) for name, nodes in statements.items()}
        level = self.units[LEVEL]
        bound = Unit([*imports, *level.statements], package, is_project)
        self.imports, self.loads = bound.imports, bound.loads
        # An import without a used name has effects; those of the project's modules count with these modules.
        used = {first(name) for unit in self.units.values() for name in unit.references.values()}
        for statement in imports:
            unit = Unit([statement], package, is_project)
            if not used & unit.imports.keys() and not any(is_project(first(name)) for name in unit.loads):
                level.statements.append(statement)
        if not level.statements:
            del self.units[LEVEL]


class Unit:
    """A unit's statements, and their references.

    Attributes:
        references: dotted names from outside the unit (`training.arguments`), by the `id` of their node, in the order
            of the syntax tree.
        strings: constants; they may name a module or a file.
        imports: dotted meanings of the names that the unit imports itself.
        loads: dotted names that these imports load.
        calls: dotted names that are called at import; `?` for a call without such a name.
        bases: dotted names of a class's bases; `?` likewise.
    """

    def __init__(self, statements: list[ast.stmt], package: str, is_project: Callable[[str], bool]):
        self.statements = statements
        self.references: dict[int, str] = {}
        self.strings: set[str] = set()
        self.imports: dict[str, set[str]] = {}
        self.loads: set[str] = set()
        self._is_project = is_project
        self._refer(statements, frozenset())
        self.calls = {name for statement in statements for name in _calls_at_import(statement)}
        bases = (base for statement in statements for base in getattr(statement, "bases", []))
        self.bases = {dotted_name(base) or "?" for base in bases}
        for node in (node for statement in statements for node in ast.walk(statement)):
            if isinstance(node, IMPORTS):
                self._bind(node, package)

    def canonical(self, meaning: Callable[[str], object]) -> object:
        """Return the syntax tree as nested tuples, which do not depend on the module's path or on the layout.

        Fields that a newer Python adds are empty for older syntax, so that the form is the same on every version.

        Args:
            meaning: returns the meaning of a reference; None keeps the reference as it is written.
        """
        return self._canonical(self.statements, meaning)

    def _canonical(self, node: object, meaning: Callable[[str], object]) -> object:
        if isinstance(node, list):
            return tuple(self._canonical(item, meaning) for item in node if not self._is_plain_import(item))
        if not isinstance(node, ast.AST):
            return repr(node)
        if id(node) in self.references:
            meant = meaning(self.references[id(node)])
            if meant is not None:
                return "reference", meant, type(node.ctx).__name__
        fields = dict(ast.iter_fields(node))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            fields["body"] = fields["body"][1:]
        return type(node).__name__, *(
            (name, self._canonical(value, meaning)) for name, value in fields.items() if value not in (None, [])
        )

    def _is_plain_import(self, node: object) -> bool:
        """Return whether an import only binds names, whose meaning the references have already."""
        if not isinstance(node, IMPORTS):
            return False
        used = {first(name) for name in self.references.values()}
        module = getattr(node, "module", None) or node.names[0].name
        is_project = getattr(node, "level", 0) > 0 or self._is_project(first(module))
        return is_project or all((alias.asname or first(alias.name)) in used for alias in node.names)

    def _bind(self, node: ast.Import | ast.ImportFrom, package: str) -> None:
        """Note the names that an import binds, and the modules that it loads."""
        source = ""
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            source = ".".join([*above, *filter(None, [node.module]), ""])
        for alias in node.names:
            self.loads.add(source + alias.name)
            # `import a.b` binds a.
            name = alias.name if alias.asname or source else first(alias.name)
            self.imports.setdefault(alias.asname or name, set()).add(source + name)

    def _refer(self, nodes: Iterable[ast.AST], bound: frozenset[str]) -> None:
        """Note the references of some nodes.

        Args:
            bound: names of the scopes around the nodes.
        """
        for node in nodes:
            kind = type(node)
            if kind is ast.Name or kind is ast.Attribute:
                name = dotted_name(node)
                if name is None:
                    self._refer([node.value], bound)
                elif first(name) not in bound and not (kind is ast.Name and type(node.ctx) is ast.Store):
                    self.references[id(node)] = name
            elif kind is ast.Constant:
                if type(node.value) is str:
                    self.strings.add(node.value)
            elif kind is ast.Call and node.args and dotted_name(node.func) in LOOK_INTO_ARGUMENT:
                self._refer([*node.args, *node.keywords], bound)
            elif kind in FUNCTIONS:
                body = node.body if type(node.body) is list else [node.body]
                self._refer(body, _scope(node.args, body, bound))
                returns = [node.returns] if getattr(node, "returns", None) else []
                self._refer([node.args, *returns, *getattr(node, "decorator_list", [])], bound)
            elif kind in COMPREHENSIONS:
                # The first iterable is evaluated outside the comprehension.
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


class _MessageRemover(ast.NodeTransformer):
    """Removes texts for people: of a `Failure`, of printed messages, and the help of command-line options."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call) and (dotted_name(node.exc.func) or "").split(".")[-1] == FAILURE:
            # The program ends here, so the calls within the text have no effect either.
            node.exc.args, node.exc.keywords = [], []
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> list[ast.stmt] | ast.AST:
        if isinstance(node.value, ast.Call) and dotted_name(node.value.func) == "print":
            parts = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
            return [ast.Expr(part) for part in parts for part in _effects(part)]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in HELP]
        return self.generic_visit(node)


def _effects(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the outermost parts of an expression that may have an effect."""
    is_call = isinstance(node, ast.Call)
    # A method of a text, such as join, has no effect.
    text = is_call and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant)
    if isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)) or (
        is_call and not text and not EFFECTLESS.fullmatch(dotted_name(node.func) or "?")
    ):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _effects(child)


def first(dotted: str) -> str:
    """Return the first part of a dotted name."""
    return dotted.partition(".")[0]


def dotted_name(node: ast.AST) -> str | None:
    """Return a name with its attributes as it is written; None for any other expression."""
    attributes = []
    while type(node) is ast.Attribute:
        attributes.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(attributes)]) if type(node) is ast.Name else None


def meanings(dotted: str, imports: dict[str, set[str]]) -> set[str]:
    """Return the dotted names that a name may mean, given some imports."""
    name, dot, attributes = dotted.partition(".")
    return {target + dot + attributes for target in imports.get(name, ())}


def _scope(arguments: ast.arguments, body: list[ast.AST], bound: frozenset[str]) -> frozenset[str]:
    """Return the names that do not belong to the module in the body of a function.

    Args:
        bound: such names around the function.
    """
    local = {argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    local |= {argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument}
    globals_, todo = set(), [*body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Global):
            globals_.update(node.names)
        elif isinstance(node, DEFINITIONS):
            local.add(node.name)
        elif isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                local.add(node.id)
        elif not isinstance(node, (ast.Lambda, *COMPREHENSIONS, *IMPORTS)):
            # An exception handler and parts of a pattern bind a name as well.
            local |= {name for name in (getattr(node, "name", None), getattr(node, "rest", None)) if name}
            todo += ast.iter_child_nodes(node)
    return (bound | local) - globals_


def _defined_names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement defines; none if it may have other effects."""
    if isinstance(statement, DEFINITIONS):
        return {statement.name}
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", statement)]
    nodes = [node for target in targets for node in ast.walk(target)]
    assigns = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign))
    plain = all(isinstance(node, (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.expr_context)) for node in nodes)
    return {node.id for node in nodes if isinstance(node, ast.Name)} if assigns and plain else set()


def _calls_at_import(statement: ast.stmt) -> Iterator[str]:
    """Yield the dotted names that a statement calls at import; `?` for a call without such a name."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        decorators = getattr(node, "decorator_list", [])
        todo += [node.args, *decorators] if isinstance(node, FUNCTIONS) else ast.iter_child_nodes(node)
        functions = [decorator for decorator in decorators if not isinstance(decorator, ast.Call)]
        if isinstance(node, ast.Call):
            functions.append(node.func)
        elif isinstance(node, ast.ClassDef) and node.keywords:
            # A metaclass, or arguments that the base class handles.
            yield "?"
        for function in functions:
            # A method of a new object acts on that object alone.
            if not (isinstance(function, ast.Attribute) and isinstance(function.value, (ast.Call, ast.Constant))):
                yield dotted_name(function) or "?"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_for_type_checkers(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and (dotted_name(statement.test) or "").split(".")[-1] == "TYPE_CHECKING"
        and not statement.orelse
    )
