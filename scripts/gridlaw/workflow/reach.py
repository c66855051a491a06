"""The definitions that a program can reach, and the digest of what they compute.

References are followed by name. If the source does not show what a name means, everything that it may mean counts: a
digest may change without need, but it always changes if a result could differ.

Example: `pretrain.py` calls `pretraining.train`. All definitions of the program count, and so do `train` of the module
`pretraining` and everything that `train` refers to; other functions of `pretraining` do not. If `train` passed the
module `schedule` to a function, or called `getattr(schedule, name)`, every definition of `schedule` would count. Of
`launch.rank()` only the name `rank` counts, because `launch` is in a package that is outside (`OUTSIDE`).

The digest of a definition is that of its canonical form, in which each reference stands for the definition that it
means. The digest of a program combines the digests of its definitions. Neither depends on the path or the name of a
module.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gridlaw.workflow.syntax import EFFECTLESS, LEVEL, Module, Unit, first, meanings

# Modules that no result depends on. Tests show that weights are equal to the last bit with and without TensorBoard, and
# whether the run was killed or not. `plugins` loads the modules that a recipe names, see `identity`.
OUTSIDE = {"cli", "io", "plugins", "hooks", "runtime", "workflow"}

# With these, a program can reach any name of the module, or any module.
ANY_NAME = {"__name__", "dir", "eval", "exec", "globals", "locals", "vars"}
ANY_MODULE = re.compile(r"__import__|importlib(\.(import_module|machinery|reload|util).*)?|pkgutil.*|runpy.*")

# Folder of compiled modules; it contains no sources.
COMPILED = "__pycache__"


class Definition(NamedTuple):
    """A unit of a module."""

    path: Path
    name: str


class Meaning(NamedTuple):
    """One possible meaning of a reference.

    Attributes:
        text: `name.attribute` without the module, or the dotted name of something outside the project.
        definition: the project's definition that is meant.
        module: the module that is meant as a whole.
        everything: whether any definition of any package may be meant.
    """

    text: str
    definition: Definition | None = None
    module: Path | None = None
    everything: bool = False


class Reach:
    """The definitions and files that a program can reach.

    Args:
        script: the program, in the folder that holds the project's packages; an absolute path.
        plugins: dotted names of the modules that it loads because its recipe names them.
        read: returns the content of a source file, which may differ from the file on disk.

    Attributes:
        definitions: all definitions that count.
        files: files other than modules that the program may read.
    """

    def __init__(self, script: Path, plugins: Iterable[str] = (), read: Callable[[Path], bytes] = Path.read_bytes):
        self.root = script.parent
        self._read = read
        self._modules: dict[Path, Module] = {}
        self._meanings: dict[tuple[Path, str, str], list[Meaning]] = {}
        self.definitions: set[Definition] = set()
        self.files: set[Path] = set()
        self._imported: set[Path] = set()
        self._whole: set[Path] = set()
        self._todo: list[Definition] = []
        self._import(script)
        self._include_module(script)
        for dotted in plugins:
            path, _ = self._import_dotted(dotted)[-1]
            self._include_module(path)
        while self._todo:
            self._follow(self._todo.pop())

    def digest(self) -> str:
        """Return the digest (16 hex digits) of everything that counts.

        Definitions of the same name and form may refer to different definitions. They are distinguished by the digests
        of their references, and these by theirs, until no further ones differ (Weisfeiler and Leman 1968).
        """
        local = {definition: self.local_digest(definition) for definition in self.definitions}
        colours, count = local, 0
        while len(set(colours.values())) > count:
            count = len(set(colours.values()))
            colours = {
                definition: shorten(json.dumps([local[definition], self._referred(definition, colours)]))
                for definition in local
            }
        files = [[*path.parts[-2:], shorten(self._read(path))] for path in self.files]
        return shorten(json.dumps([sorted(colours.values()), sorted(files)]))

    def local_digest(self, definition: Definition) -> str:
        """Return the digest (16 hex digits) of one definition, in which references are names."""
        unit = self._module(definition.path).units[definition.name]

        def meaning(dotted: str) -> list[str] | None:
            meant = self._resolve(definition, unit, dotted)
            return sorted(meaning.text for meaning in meant) or None

        return shorten(repr((definition.name, unit.canonical(meaning))))

    def label(self, path: Path) -> str:
        """Return a file's name for messages and records."""
        return f"scripts/{path.relative_to(self.root).as_posix()}"

    def _referred(self, definition: Definition, colours: dict[Definition, str]) -> list[list[str]]:
        """Return the colours of the definitions that each reference may mean, in the order of the syntax tree."""
        unit = self._module(definition.path).units[definition.name]
        return [
            sorted(
                colours[target]
                for meaning in self._resolve(definition, unit, dotted)
                for target in self._targets(meaning)
                if target in colours
            )
            for dotted in unit.references.values()
        ]

    def _targets(self, meaning: Meaning) -> list[Definition]:
        """Return the definitions that a meaning includes."""
        if meaning.module:
            return [Definition(meaning.module, name) for name in self._module(meaning.module).units]
        return [meaning.definition] if meaning.definition else []

    def _module(self, path: Path) -> Module:
        if path not in self._modules:
            package = ".".join(path.relative_to(self.root).parts[:-1])
            self._modules[path] = _parse(self._read(path), path, package, self.root)
        return self._modules[path]

    def _is_outside(self, path: Path) -> bool:
        """Return whether a module is one that no result depends on."""
        parts = path.relative_to(self.root).with_suffix("").parts
        return any(".".join(parts[1:end]) in OUTSIDE for end in range(2, len(parts) + 1))

    def _follow(self, definition: Definition) -> None:
        """Include what a definition refers to."""
        path, name = definition
        module = self._module(path)
        unit = module.units[name]
        for target in unit.loads:
            self._import_dotted(target)
        for dotted in set(unit.references.values()):
            for meaning in self._resolve(definition, unit, dotted):
                self._include(meaning)
            if first(dotted) in module.units:
                continue
            if first(dotted) in ANY_NAME:
                self._include_module(path)
            elif ANY_MODULE.fullmatch(first(dotted)):
                self._include_everything()
        for text in unit.strings:
            if re.fullmatch(r"\w+(\.\w+)+", text) and (self.root / first(text)).is_dir():
                for meaning in self._resolve_dotted(text):
                    self._include(meaning)
            self.files |= {file for file, parts in _other_files(self.root) if not parts.isdisjoint(text.split("/"))}

    def _resolve(self, definition: Definition, unit: Unit, dotted: str) -> list[Meaning]:
        """Find the meanings of a reference in a unit; a name that is built into Python has none."""
        key = (*definition, dotted)
        if key not in self._meanings:
            module = self._module(definition.path)
            names = meanings(dotted, unit.imports) | meanings(dotted, module.imports)
            resolved = [meaning for name in sorted(names) for meaning in self._resolve_dotted(name)]
            if first(dotted) in module.units:
                resolved += self._resolve_name(definition.path, dotted)
            self._meanings[key] = resolved
        return self._meanings[key]

    def _resolve_dotted(self, dotted: str) -> list[Meaning]:
        """Find the meanings of a dotted name that begins with its module, and import that module."""
        if ANY_MODULE.fullmatch(dotted):
            return [Meaning(dotted, everything=True)]
        modules = self._import_dotted(dotted)
        if any(self._is_outside(path) for path, _ in modules):
            return [Meaning(f"outside {modules[-1][1]}")]
        resolved = []
        for path, names in modules:
            # A package may define a name that one of its modules has too.
            if path == modules[-1][0] or first(names) in self._module(path).units:
                resolved += self._resolve_name(path, names)
        return resolved or [Meaning(dotted)]

    def _resolve_name(self, path: Path, names: str) -> list[Meaning]:
        """Find the meanings of a name of a module, with its attributes."""
        module = self._module(path)
        name = first(names)
        if name in module.units:
            return [Meaning(names, Definition(path, name))]
        if name in module.imports:
            dotted = sorted(meanings(names, module.imports))
            return [meaning for name in dotted for meaning in self._resolve_dotted(name)]
        return [Meaning(names, module=path)]

    def _include(self, meaning: Meaning) -> None:
        if meaning.everything:
            self._include_everything()
        elif meaning.module:
            self._include_module(meaning.module)
        elif meaning.definition:
            self._include_definition(meaning.definition)

    def _include_definition(self, definition: Definition) -> None:
        if definition not in self.definitions:
            self.definitions.add(definition)
            self._todo.append(definition)

    def _include_module(self, path: Path) -> None:
        """Include a whole module, with the definitions that it imports from others."""
        if path in self._whole or self._is_outside(path):
            return
        self._whole.add(path)
        module = self._module(path)
        for name in module.units:
            self._include_definition(Definition(path, name))
        for target in set().union(*module.imports.values()):
            for other, names in self._import_dotted(target)[-1:]:
                if names and not self._is_outside(other):
                    for meaning in self._resolve_name(other, names):
                        self._include(meaning)

    def _include_everything(self) -> None:
        """Include all modules of all packages."""
        for path in sorted(self.root.glob("*/**/*.py")):
            self._import(path)
            self._include_module(path)

    def _import_dotted(self, dotted: str) -> list[tuple[Path, str]]:
        """Import the project's modules that a dotted name begins with.

        Returns:
            each module, outermost first, with the rest of the name.
        """
        modules, place, rest = [], self.root, dotted
        while rest:
            part, _, rest = rest.partition(".")
            place /= part
            file, is_folder = _importable(place)
            if file:
                self._import(file)
                modules.append((file, rest))
            elif not is_folder:
                break
        return modules

    def _import(self, path: Path) -> None:
        """Import a module, with what it does at import: it imports others, and may change more than its own names."""
        if path in self._imported or self._is_outside(path):
            return
        self._imported.add(path)
        module = self._module(path)
        for target in module.loads:
            self._import_dotted(target)
        for name, unit in module.units.items():
            if name == LEVEL or self._acts_at_import(module, unit):
                self._include_definition(Definition(path, name))

    def _acts_at_import(self, module: Module, unit: Unit) -> bool:
        """Return whether a definition may have an effect when its module is imported, or be found by its base class."""
        for name in unit.calls:
            meant = meanings(name, module.imports) or {name}
            if first(name) in module.units or not all(map(EFFECTLESS.fullmatch, meant)):
                return True
        if any(first(name) in module.units for name in unit.bases):
            return True
        return any(self._import_dotted(meant) for name in unit.bases for meant in meanings(name, module.imports))


def shorten(content: str | bytes) -> str:
    """Return the digest of a text: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()[:16]


def project_files(root: Path) -> list[Path]:
    """Return all files of a folder with programs and packages, sorted."""
    return sorted(path for path in root.rglob("*") if path.is_file() and COMPILED not in path.parts)


@cache
def _parse(source: bytes, path: Path, package: str, root: Path) -> Module:
    return Module(source, path, package, lambda name: any(_importable(root / name)))


@cache
def _importable(place: Path) -> tuple[Path | None, bool]:
    """Return the file that an import of a path would run, if there is one, and whether the path is a folder."""
    is_folder = place.is_dir()
    file = place / "__init__.py" if is_folder else place.with_name(f"{place.name}.py")
    return file if file.is_file() else None, is_folder


@cache
def _other_files(root: Path) -> list[tuple[Path, frozenset[str]]]:
    """Return the files of the packages that are not modules, with the parts of their paths."""
    files = [(path, path.relative_to(root).parts[1:]) for path in project_files(root) if path.suffix != ".py"]
    return [(path, frozenset(parts)) for path, parts in files if parts]
