"""The definitions that a program can reach, and the digest of what they compute.

Names are followed as they are written. Where the source does not show what a name means, everything that it may mean
counts: a digest may change without need, but it never stays when a result could differ.

An example. `pretrain.py` calls `pretraining.train`, and only in `main`. So the program's own definitions count, and
`train` of the module `pretraining`, and what `train` refers to in turn; other functions of `pretraining` do not. If
`train` handed the module `schedule` to a function, or looked something up by `getattr(schedule, name)`, every
definition of `schedule` would count. `launch.rank()` counts by the name `rank` alone, because `launch` is outside.

The digest of a definition is that of its canonical form, in which each reference stands for the definition that it
means. The digest of a program combines the digests of its definitions. So neither depends on where a module lies or
what it is called.
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

# Modules that no result depends on. Tests hold that: weights are the same to the bit with and without TensorBoard,
# killed and not, on any number of processes that a recipe allows. `plugins` loads what a recipe names, see `identity`.
OUTSIDE = {"cli", "io", "plugins", "hooks", "runtime", "workflow"}

# Names behind which any other name of the module may be meant, or any module.
ANY_NAME = {"__name__", "dir", "eval", "exec", "globals", "locals", "vars"}
ANY_MODULE = re.compile(r"__import__|importlib(\.(import_module|machinery|reload|util).*)?|pkgutil.*|runpy.*")

# Where Python keeps compiled modules; nothing in it is a source.
COMPILED = "__pycache__"


class Definition(NamedTuple):
    """A unit of a module."""

    path: Path
    name: str


class Meaning(NamedTuple):
    """One thing that a reference may stand for.

    Attributes:
        text: what the reference says beyond the place of the definition: `name.attribute`, or the dotted name of
            something that is not the project's.
        definition: the definition of the project that is meant.
        module: the module that is meant as a whole.
        everything: whether it may be anything in any package.
    """

    text: str
    definition: Definition | None = None
    module: Path | None = None
    everything: bool = False


class Reach:
    """What a program can reach.

    Args:
        script: the program, in the folder that holds the project's packages; an absolute path.
        plugins: dotted names of modules that it loads, by the recipe.
        read: gives the content of a source file, which may differ from what is on disk.

    Attributes:
        definitions: all that count.
        files: files that are no modules and that the program may read.
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
        """Digest (16 hex digits) of all that counts.

        Definitions of the same name and form may differ in what they refer to, so that each is told apart by the
        digests of its references, and these by theirs, until no more are told apart (Weisfeiler and Leman 1968).
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
        """Digest (16 hex digits) of one definition, in which references are names."""
        unit = self._module(definition.path).units[definition.name]

        def meaning(dotted: str) -> list[str] | None:
            meant = self._resolve(definition, unit, dotted)
            return sorted(meaning.text for meaning in meant) or None

        return shorten(repr((definition.name, unit.canonical(meaning))))

    def label(self, path: Path) -> str:
        """A file's name in messages and records."""
        return f"scripts/{path.relative_to(self.root).as_posix()}"

    def _referred(self, definition: Definition, colours: dict[Definition, str]) -> list[list[str]]:
        """The colours that each reference of a definition may stand for, in the order of the syntax tree."""
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
        """The definitions that a meaning stands for."""
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
        """Find what a reference in a unit may stand for; nothing for a name that is built into Python."""
        key = (*definition, dotted)
        if key not in self._meanings:
            module = self._module(definition.path)
            names = meanings(dotted, unit.imports) | meanings(dotted, module.imports)
            found = [meaning for name in sorted(names) for meaning in self._resolve_dotted(name)]
            if first(dotted) in module.units:
                found += self._resolve_name(definition.path, dotted)
            self._meanings[key] = found
        return self._meanings[key]

    def _resolve_dotted(self, dotted: str) -> list[Meaning]:
        """Find what a dotted name with its module may stand for, and import that module."""
        if ANY_MODULE.fullmatch(dotted):
            return [Meaning(dotted, everything=True)]
        modules = self._import_dotted(dotted)
        if any(self._is_outside(path) for path, _ in modules):
            return [Meaning(f"outside {modules[-1][1]}")]
        found = []
        for path, names in modules:
            # A package may itself define what a module in it is called.
            if path == modules[-1][0] or first(names) in self._module(path).units:
                found += self._resolve_name(path, names)
        return found or [Meaning(dotted)]

    def _resolve_name(self, path: Path, names: str) -> list[Meaning]:
        """Find what a name of a module, with its attributes, may stand for."""
        module = self._module(path)
        name = first(names)
        if name in module.units:
            return [Meaning(names, Definition(path, name))]
        if name in module.imports:
            return [found for meant in sorted(meanings(names, module.imports)) for found in self._resolve_dotted(meant)]
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
        """Include a whole module, with the definitions of others that it re-exports."""
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
            each of them, outermost first, with the rest of the name.
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
        """Import a module: it imports others, and may act on more than its own names."""
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
    """Digest of a text: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()[:16]


def project_files(root: Path) -> list[Path]:
    """All files of a folder with programs and packages, sorted."""
    return sorted(path for path in root.rglob("*") if path.is_file() and COMPILED not in path.parts)


@cache
def _parse(source: bytes, path: Path, package: str, root: Path) -> Module:
    return Module(source, path, package, lambda name: any(_importable(root / name)))


@cache
def _importable(place: Path) -> tuple[Path | None, bool]:
    """The file that importing a path without suffix would run, if any, and whether the path is a folder."""
    is_folder = place.is_dir()
    file = place / "__init__.py" if is_folder else place.with_name(f"{place.name}.py")
    return file if file.is_file() else None, is_folder


@cache
def _other_files(root: Path) -> list[tuple[Path, frozenset[str]]]:
    """Files of the packages that are no modules, and the parts of their paths."""
    files = [(path, path.relative_to(root).parts[1:]) for path in project_files(root) if path.suffix != ".py"]
    return [(path, frozenset(parts)) for path, parts in files if parts]
