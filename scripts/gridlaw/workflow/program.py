"""The command line of a step's program, which its kind of step defines."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from gridlaw import cli
from gridlaw.workflow import file_lists
from gridlaw.workflow.kind import Kind
from gridlaw.workflow.steps import KINDS, option


def parse(rule: str, doc: str) -> Namespace:
    """Parse the command line of the running program.

    Args:
        rule: the name of its rule.
        doc: its docstring, which becomes its help.

    Returns:
        the `recipe`, and the values of its options by name: the path of a file, a list of paths where there may be
        many, None for one that is not there. Further `inputs` and `outputs`: files whose digests the record holds;
        `plugins`: modules of the plug-ins that the recipe names; and `extendable`: lists of the recipe, see `Kind`.
    """
    kind = KINDS[rule]
    parser = cli.parser(doc)
    for name, source in kind.reads.items():
        if source.passed and source.listed:
            usage = {"nargs": "?", "default": [], "const": [], "metavar": "LIST"}
            parser.add_argument(option(name), type=file_lists.read, help=source.help, **usage)
        elif source.passed and source.many:
            parser.add_argument(option(name), nargs="*", default=[], help=source.help)
        elif source.passed:
            usage = {"nargs": "?"} if source.optional else {"required": True}
            parser.add_argument(option(name), help=source.help, **usage)
    for name, output in kind.writes.items():
        if output.help:
            parser.add_argument(option(name), required=True, help=f"{output.help}, to write")
    for name, setting in kind.settings.items():
        usage = {"required": True} if setting.required else {"default": setting.default}
        parser.add_argument(option(name), type=setting.type, help=setting.help, **usage)
    args = parser.parse_args()
    args.inputs, args.outputs = _recorded_inputs(kind, args), _recorded_outputs(kind, args)
    args.plugins = kind.plugin_modules(args.recipe)
    args.extendable = kind.extendable
    return args


def _recorded_inputs(kind: Kind, args: Namespace) -> list[str]:
    files = []
    for name, source in kind.reads.items():
        if source.recorded and source.passed:
            value = getattr(args, name)
            paths = value if isinstance(value, list) else [value] if value else []
            # The option is the folder of a manifest. A folder that a person chooses may have no manifest.
            manifests = (f"{folder}/manifest.json" for folder in paths)
            files += filter(os.path.exists, manifests) if source.folder else paths
    return list(dict.fromkeys(files))


def _recorded_outputs(kind: Kind, args: Namespace) -> list[str]:
    files = []
    for name, output in kind.writes.items():
        if name == "record" or not output.recorded:
            continue
        if output.beside:
            files.append(str(Path(getattr(args, output.beside)).with_suffix(Path(output.name).suffix)))
        elif output.folder:
            files.append(f"{getattr(args, name)}/{Path(output.name).name}")
        else:
            files.append(getattr(args, name))
    return files
