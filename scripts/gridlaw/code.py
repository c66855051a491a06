"""Identity of a program: a digest that changes when what it computes may change, and not for a comment.

Snakemake does not see the modules that a script imports, and a fresh clone's time stamps would re-run everything;
this digest is what rules carry as `code` instead.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
PACKAGE = Path(__file__).resolve().parent.name
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def digest(script: Path) -> str:
    """Digest (12 hex digits) of a script and of the project's modules that it imports, transitively."""
    hashed = hashlib.sha256()
    for path in sorted(_closure(script.resolve())):
        hashed.update(f"{path.relative_to(SCRIPTS)}\n{_canonical(_tree(path))}\n".encode())
    return hashed.hexdigest()[:12]


def _closure(script: Path) -> set[Path]:
    found, todo = set(), [script]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imports(_tree(path))
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _imports(tree: ast.Module) -> list[Path]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    modules = (SCRIPTS.joinpath(*name.split(".")) for name in names if name.split(".")[0] == PACKAGE)
    files = (file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py"))
    return [file for file in files if file.is_file()]


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
