"""A kind of step: the one place that says what a rule reads and writes, and what its recipe holds.

A rule of the Snakefile, its program and its results have the kind's name. Rules take their inputs, outputs and command
from here, programs their options, and everything that asks for the state of a result the record that it should have.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from gridlaw.workflow.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Source:
    """An input of a step, and the option of its program.

    Args:
        help: what it is, for the option's help.
        recorded: whether the record holds digests of its files.
        aged: whether a newer file makes the result stale. That of a large file does not: its manifest counts.
        folder: whether the program is given the folder of the file.
        many: whether there may be any number of files.
        optional: whether there may be none.
        passed: whether the program has an option for it.
    """

    help: str
    recorded: bool
    aged: bool
    folder: bool = False
    many: bool = False
    optional: bool = False
    passed: bool = True


def result(text: str, **more: bool) -> Source:
    """A manifest or a table that another step has made, which stands for all of that step's result."""
    return Source(text, recorded=True, aged=True, **more)


def content(text: str, **more: bool) -> Source:
    """A large file of another step, whose manifest is an input as well."""
    return Source(text, recorded=False, aged=False, **more)


def local_files(text: str, **more: bool) -> Source:
    """Files of the user; the recipe holds a digest of their content."""
    return Source(text, recorded=True, aged=False, many=True, **more)


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a step makes.

    Args:
        name: of the file in the step's folder.
        help: what it is, for the option's help; without one the program is not told where it is to be.
        beside: the output whose name it has, but for the ending; its program writes both.
        recorded: whether the record holds its digest. For a large one, its manifest does.
        folder: whether the program is given the folder of the file.
        directory: whether it is a folder itself.
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
        help: what it is, for the option's help.
        shell: its text in the command of the rule, in which `{values}` stands for the values of the wildcards and
            `{run}` for these after the rule's name; the rule does not give an empty one.
        type: of the value.
        default: without the option; `required` has none.
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
        name: of the rule and of the program.
        folder: pattern of the folder of its results; its fields are the rule's wildcards.
        reads: inputs by name; those that are passed are options of the program.
        writes: outputs by name, likewise; the record is the last one.
        recipe: gives its recipe for a completed configuration and the wildcards that its further arguments name.
        inputs: gives the files of each of `reads`, in their order, for an experiment and all wildcards.
        settings: further options of the program, on which no result depends.
        environment: variables of the program, in the shell.
    """

    name: str
    folder: str
    reads: dict[str, Source]
    writes: dict[str, Output]
    recipe: Callable[..., Recipe]
    inputs: Callable[..., dict[str, list[str]]]
    settings: dict[str, Setting] = field(default_factory=dict)
    environment: str = "HF_HUB_OFFLINE=1"

    @cached_property
    def wildcards(self) -> tuple[str, ...]:
        """Names of the rule's wildcards, in the order of the path."""
        return tuple(re.findall(r"\{(\w+)\}", self.folder))

    @cached_property
    def recipe_wildcards(self) -> tuple[str, ...]:
        """Names of the wildcards that the recipe depends on."""
        return tuple(inspect.signature(self.recipe).parameters)[1:]

    def pattern(self, output: str) -> str:
        """Path of an output, with wildcards in braces."""
        return f"{self.folder}/{self.writes[output].name}"

    def file(self, output: str, *values: object) -> str:
        """Path of an output of the step with these values of its wildcards."""
        return self.pattern(output).format(**dict(zip(self.wildcards, values, strict=True)))

    @property
    def single(self) -> bool:
        """Whether a grid has one such step; its folder holds the results of others as well."""
        return not self.wildcards

    def files(self) -> list[str]:
        """Paths of all outputs of a `single` step, the record last."""
        return [self.file(output) for output in self.writes]

    def recorded(self, files: dict[str, list[str]]) -> tuple[str, ...]:
        """The inputs whose digests a record holds, each once.

        Args:
            files: of each input.
        """
        names = (name for name, source in self.reads.items() if source.recorded)
        return tuple(dict.fromkeys(file for name in names for file in files[name]))

    def options(
        self,
        given: dict[str, list[str]],
        made: dict[str, str],
        folder_of: Callable[[str], str] = lambda file: file.rpartition("/")[0],
    ) -> dict[str, list[str]]:
        """Values of the program's options for inputs and outputs.

        Args:
            given: files of each input.
            made: file of each output.
            folder_of: gives the folder of a file.
        """
        values = {}
        for name, source in self.reads.items():
            if source.passed:
                values[name] = [folder_of(file) for file in given[name]] if source.folder else given[name]
        for name, output in self.writes.items():
            if output.help:
                values[name] = [folder_of(made[name]) if output.folder else made[name]]
        return values
