"""Kinds of steps: what a rule reads and writes, and what its recipe contains, in one place.

A rule, its program and its results have the kind's name. Rules take their inputs, outputs and command from here, and
programs their options. The record that a result should have, which decides its state, comes from here too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from gridlaw import plugins
from gridlaw.workflow.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Source:
    """An input of a step, and the option of its program.

    Args:
        help: description, for the option's help.
        recorded: whether the record contains digests of its files.
        aged: whether a newer file makes the result stale. A large file does not; its manifest does.
        folder: whether the program is given the folder of the file.
        many: whether there may be any number of files.
        listed: whether the program is given a text file with their names, a name on each line.
        optional: whether there may be none.
        passed: whether the program has an option for it.
    """

    help: str
    recorded: bool
    aged: bool
    folder: bool = False
    many: bool = False
    listed: bool = False
    optional: bool = False
    passed: bool = True


def result(text: str, **more: bool) -> Source:
    """Return a source: a manifest or a table of another step, which represents that step's whole result."""
    return Source(text, recorded=True, aged=True, **more)


def content(text: str, **more: bool) -> Source:
    """Return a source: a large file of another step, whose manifest is an input too."""
    return Source(text, recorded=False, aged=False, **more)


def local_files(text: str, **more: bool) -> Source:
    """Return a source: files of the user, whose digest is in the recipe."""
    return Source(text, recorded=True, aged=False, listed=True, **more)


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a step writes.

    Args:
        name: its name in the step's folder.
        help: description, for the option's help; without one the program has no option for it.
        beside: the output that has the same name with another suffix; the program writes both.
        recorded: whether the record contains its digest. The digest of a large file is in its manifest.
        folder: whether the program is given the folder of the file.
        directory: whether the output itself is a folder.
        shown: kind and name of its caption, if Snakemake's report shows it.
    """

    name: str
    help: str = ""
    beside: str = ""
    recorded: bool = True
    folder: bool = False
    directory: bool = False
    shown: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of a program on which no result depends.

    Args:
        help: description, for the option's help.
        shell: its value in the rule's command, where `{values}` are the values of the wildcards, `{run}` is the rule's
            name followed by them, and other names are settings of the run; if it is empty, the command does not have
            the option.
        type: type of the value.
        default: value without the option.
        required: whether there is no default.
    """

    help: str
    shell: str = ""
    type: Callable[[str], object] = str
    default: object = None
    required: bool = False


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of step.

    Args:
        name: name of the rule and of the program.
        folder: pattern of the folder of its results; its fields are the rule's wildcards.
        reads: inputs by name; those with `passed` are options of the program.
        writes: outputs by name; those with `help` are options of the program. The record is the last one.
        recipe: returns the recipe, given a completed configuration and the wildcards that its other parameters name.
        inputs: returns the files of each of `reads`, in the same order, given an experiment and all wildcards.
        settings: further options of the program, on which no result depends.
        environment: environment variables of the program, in the shell.
        plugins: returns the plug-ins that its program loads for a recipe: seam and name of each, the name None for one
            that is not known before the program runs, which stands for all of the seam.
        extendable: lists of the recipe that may grow while the files in the work folder of a training remain valid.
    """

    name: str
    folder: str
    reads: dict[str, Source]
    writes: dict[str, Output]
    recipe: Callable[..., Recipe]
    inputs: Callable[..., dict[str, list[str]]]
    settings: dict[str, Setting] = field(default_factory=dict)
    environment: str = "HF_HUB_OFFLINE=1"
    plugins: Callable[[dict], list[tuple[str, str | None]]] = lambda recipe: []
    extendable: tuple[str, ...] = ()

    @cached_property
    def wildcards(self) -> tuple[str, ...]:
        """Names of the rule's wildcards, in the order of the path."""
        return tuple(re.findall(r"\{(\w+)\}", self.folder))

    @cached_property
    def recipe_wildcards(self) -> tuple[str, ...]:
        """Names of the wildcards that the recipe depends on."""
        return tuple(inspect.signature(self.recipe).parameters)[1:]

    def plugin_modules(self, recipe: dict) -> tuple[str, ...]:
        """Dotted names of the plug-in modules that the program loads for a recipe, sorted."""
        return plugins.modules(self.plugins(recipe))

    def pattern(self, output: str) -> str:
        """Return the path of an output, with wildcards in braces."""
        return f"{self.folder}/{self.writes[output].name}"

    def file(self, output: str, *values: object) -> str:
        """Return the path of an output, given the values of the wildcards."""
        return self.pattern(output).format(**dict(zip(self.wildcards, values, strict=True)))

    @property
    def single(self) -> bool:
        """True if a grid has one such step; its folder contains results of other kinds too."""
        return not self.wildcards

    def files(self) -> list[str]:
        """Return the paths of all outputs of a `single` step, the record last."""
        return [self.file(output) for output in self.writes]

    def recorded(self, files: dict[str, list[str]]) -> tuple[str, ...]:
        """Return the input files whose digests a record contains, each once.

        Args:
            files: files of each input.
        """
        names = (name for name, source in self.reads.items() if source.recorded)
        return tuple(dict.fromkeys(file for name in names for file in files[name]))

    def options(
        self,
        inputs: dict[str, list[str]],
        outputs: dict[str, str],
        folder_of: Callable[[str], str] = lambda file: file.rpartition("/")[0],
    ) -> dict[str, list[str]]:
        """Return the values of the program's options for inputs and outputs.

        Args:
            inputs: files of each input.
            outputs: file of each output.
            folder_of: returns the folder of a file.
        """
        values = {}
        for name, source in self.reads.items():
            if source.passed:
                values[name] = [folder_of(file) for file in inputs[name]] if source.folder else inputs[name]
        for name, output in self.writes.items():
            if output.help:
                values[name] = [folder_of(outputs[name]) if output.folder else outputs[name]]
        return values
