"""The identity of a program follows what it computes with, definition by definition, and nothing else."""

import ast
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from conftest import configuration

from gridlaw.workflow import identity, reach, steps, syntax

SCRIPTS = steps.SCRIPTS
PROGRAMS = [path for path in sorted(SCRIPTS.glob("*.py")) if path.stem in steps.KINDS]


def forget():
    for module in (identity, reach):
        for cached in vars(module).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()


# On synthetic programs --------------------------------------------------------------------------------------------------


@pytest.fixture
def write_program(tmp_path):
    """Writes a program, and a package `lab` with modules of these texts; gives the program's path."""

    def write(program, **modules):
        folder = tmp_path / "scripts"
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in {"program": program, "lab/__init__": "", **modules}.items():
            file = folder / (name if "." in name else f"{name}.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        forget()
        return folder / "program.py"

    return write


@pytest.fixture
def reached(write_program):
    """Definitions that a program reaches, with their digests."""
    return lambda program, **modules: identity.definitions(write_program(program, **modules))


@pytest.fixture
def digest(write_program):
    """The digest of a program."""
    return lambda program, **modules: identity.digest(write_program(program, **modules))


def others(definitions):
    """Return the definitions outside the program, without the common folders."""
    return {name.removeprefix("scripts/lab/") for name in definitions if not name.startswith("scripts/program.py")}


TOOLS = """
    import numpy as np

    LIMIT = 3
    SHAPES = {"round": circle_area}

    def used(x): return helper(x) + LIMIT
    def helper(x): return np.sqrt(x)
    def unused(x): return 2 * x
    def circle_area(r): return 3 * r * r
    def default(x=LIMIT): return x
    def annotated(x: Kind) -> "Kind": return x
    class Kind: pass
    class Base: pass
    class Derived(Base):
        def area(self): return unused(2)
"""
WHOLE = {
    f"tools.py: {name}"
    for name in ("LIMIT", "SHAPES", "used", "helper", "unused", "circle_area", "default", "annotated", "Kind", "Base")
} | {"tools.py: Derived"}
USED = {"tools.py: used", "tools.py: helper", "tools.py: LIMIT"}
# A class with a base of the project could be found by it.
DERIVED = {"tools.py: Derived", "tools.py: Base", "tools.py: unused"}


@pytest.mark.parametrize(
    ("program", "expected"),
    {
        "attribute of a module": ("from lab import tools\ntools.used(1)", USED),
        "import of a name": ("from lab.tools import used\nused(1)", USED),
        "import of a name under another": ("from lab.tools import used as u\nu(1)", USED),
        "import of a module under another name": ("import lab.tools as t\nt.used(1)", USED),
        "import of a dotted module": ("import lab.tools\nlab.tools.used(1)", USED),
        "import inside a function": ("def f():\n    from lab import tools\n    return tools.used(1)", USED),
        "import of a name inside a function": ("def f():\n    from lab.tools import used\n    return used(1)", USED),
        "import in a condition": (
            "try:\n    from lab import tools\nexcept ImportError:\n    pass\ntools.used(1)",
            USED,
        ),
        "attribute of an attribute": ("from lab import tools\ntools.used.__doc__", USED),
        "a constant": ("from lab import tools\ntools.LIMIT", {"tools.py: LIMIT"}),
        "a registry": ("from lab import tools\ntools.SHAPES[name]", {"tools.py: SHAPES", "tools.py: circle_area"}),
        "a default argument": ("from lab import tools\ntools.default()", {"tools.py: default", "tools.py: LIMIT"}),
        "an annotation": ("from lab import tools\ntools.annotated", {"tools.py: annotated", "tools.py: Kind"}),
        "a base class": ("from lab import tools\ntools.Derived()", DERIVED),
        "imported and not used": ("from lab import tools", set()),
        "a decorator": ("from lab import tools\n@tools.used\ndef f(): pass", USED),
        "a base": ("from lab import tools\nclass A(tools.Kind): pass", {"tools.py: Kind"}),
        "a default": ("from lab import tools\ndef f(x=tools.LIMIT): pass", {"tools.py: LIMIT"}),
        "an evaluated annotation": ("from lab import tools\ndef f(x: tools.Kind): pass", {"tools.py: Kind"}),
        "an assignment to a module's attribute": ("from lab import tools\ntools.LIMIT = 4", {"tools.py: LIMIT"}),
        "a lambda": ("from lab import tools\nf = lambda x: tools.used(x)", USED),
        "a comprehension": ("from lab import tools\n[x for x in tools.used(1)]", USED),
        "a parameter of the same name": ("from lab import tools\ndef f(tools): return tools.x", set()),
        "a variable of the same name": ("from lab import tools\ndef f():\n    tools = 1\n    return tools.x", set()),
        "a loop's variable of the same name": ("from lab import tools\n[tools.x for tools in y]", set()),
        "a loop over what its variable is called": ("from lab import tools\n[x for tools in tools.used(1)]", USED),
        "a parameter of an inner function": (
            "from lab import tools\ndef f():\n    g = lambda tools: 0\n    return tools.used(1)",
            USED,
        ),
        "a parameter of a default": ("from lab import tools\ndef f(g=lambda tools: 0): return tools.used(1)", USED),
        "a global in a function within another": (
            "from lab import tools\ndef f(tools):\n    def g():\n        global tools\n        return tools.used(1)",
            USED,
        ),
        "a class's own name": (
            "from lab import tools\nclass A:\n    tools = 1\n    def f(self): return tools.used",
            USED,
        ),
    }.values(),
)
def test_what_is_named_is_reached(reached, program, expected):
    found = others(reached(program, **{"lab/tools": TOOLS}))
    assert found - DERIVED == expected - DERIVED


@pytest.mark.parametrize(
    "program",
    {
        "a module as a value": "from lab import tools\nuse(tools)",
        "getattr": "from lab import tools\ngetattr(tools, name)(1)",
        "a look into a module": "from lab import tools\nvars(tools)[name](1)",
        "a dict of modules": "from lab import tools\nMODULES = {'a': tools}",
        "an attribute that the module does not define": "from lab import tools\ntools.__file__",
        "a name that the module does not define": "from lab.tools import other\nother()",
        "everything": "from lab.tools import *",
        "an import by string": "import importlib\nimportlib.import_module('lab.tools')",
        "an import by computed string": "from importlib import import_module\nimport_module(f'lab.{name}')",
        "an import by function": "__import__(name)",
        "a table of loaded modules": "import sys\nfrom lab import tools\nsys.modules['lab.tools'].used",
    }.values(),
)
def test_where_it_is_not_plain_the_whole_module_is_reached(reached, program):
    assert others(reached(program, **{"lab/tools": TOOLS})) >= WHOLE


@pytest.mark.parametrize("indirect", ["globals()[name]", "eval(name)", "sys.modules[__name__]", "vars()[name]"])
def test_a_module_that_looks_itself_up_is_reached_whole(reached, indirect):
    module = f"def look(name, sys): return {indirect}\ndef found(): pass"
    assert others(reached("from lab import tools\ntools.look(1)", **{"lab/tools": module})) == {
        "tools.py: look",
        "tools.py: found",
    }


@pytest.mark.parametrize("lookup", ["vars(thing)", "dir(thing)"])
def test_a_look_into_an_argument_reaches_nothing_more(reached, lookup):
    module = f"def look(thing): return {lookup}\ndef found(): pass"
    assert others(reached("from lab import tools\ntools.look(1)", **{"lab/tools": module})) == {"tools.py: look"}


def test_a_program_is_reached_whole(reached):
    program = "import sys\nX: int = 1\nA, (B, *C) = 1, [2]\ndef f(): pass\nclass K: pass\nif X: f()\nX += 1"
    assert set(reached(program)) == {
        f"scripts/program.py: {name}" for name in ("X", "A", "B", "C", "f", "K", "module level")
    }


def test_what_runs_at_import_is_reached(reached):
    quiet = "import re\nfrom functools import cache\nWORDS = re.compile('a')\n@cache\ndef f(): pass"
    loud = "import os\nimport lab.quiet\nos.environ['A'] = 'b'\nfor x in y: z(x)"
    assert others(reached("from lab import quiet", **{"lab/quiet": quiet})) == set()
    assert others(reached("from lab import loud", **{"lab/loud": loud, "lab/quiet": quiet})) == {
        "loud.py: module level"
    }
    # Through a module that imports it, and through its package.
    modules = {"lab/loud": loud, "lab/quiet": quiet, "lab/between": "from lab import loud"}
    assert others(reached("from lab import between", **modules)) == {"loud.py: module level"}
    inside = {"lab/deep/__init__": "A = print('hello')", "lab/deep/tools": "def used(): pass"}
    found = others(reached("from lab.deep import tools\ntools.used()", **inside))
    assert found == {"deep/__init__.py: A", "deep/tools.py: used"}


@pytest.mark.parametrize(
    "definition",
    {
        "a decorator of the project": "from lab.registry import enter\n@enter('name')\ndef f(): pass",
        "a method of a registry": "from lab import registry\n@registry.ALL.enter\ndef f(): pass",
        "its own decorator": "def enter(f): return f\n@enter\ndef f(): pass",
        "any other decorator": "import torch\n@torch.library.custom_op('f')\ndef f(): pass",
        "a subclass": "from lab import registry\nclass f(registry.Base): pass",
        "a subclass of a subclass": "from lab.registry import Base\nclass Between(Base): pass\nclass f(Between): pass",
        "a metaclass": "class f(metaclass=Meta): pass",
        "a call": "import random\nf = random.seed(1)",
        "a call in a class": "import random\nclass f:\n    x = random.seed(1)",
        "a call in a default": "import random\ndef f(x=random.seed(1)): pass",
        "a call in a comprehension": "import random\nf = [random.seed(x) for x in y]",
        "a call of what was looked up": "f = TABLE['a']()",
    }.values(),
)
def test_what_acts_at_import_is_reached(reached, definition):
    registry = "ALL = Registry()\ndef enter(name): return ALL.enter\nclass Base: pass"
    found = reached("from lab import tools", **{"lab/tools": definition, "lab/registry": registry})
    assert "scripts/lab/tools.py: f" in found


def test_names_are_handed_on(reached):
    modules = {
        "lab/deep/__init__": "from lab.deep.tools import used as public\nfrom . import tools",
        "lab/deep/tools": "from ..units import METRE\ndef used(): return METRE\ndef unused(): pass",
        "lab/units": "METRE = 1\nFOOT = 0.3",
    }
    expected = {"deep/tools.py: used", "units.py: METRE"}
    assert others(reached("from lab.deep import public\npublic()", **modules)) == expected
    assert others(reached("from lab import deep\ndeep.tools.used()", **modules)) == expected
    # By a name that is computed, what the package hands on may be meant, too.
    assert expected <= others(reached("from lab import deep\ngetattr(deep, name)", **modules))


def test_a_package_may_define_what_a_module_in_it_is_called(reached):
    modules = {"lab/__init__": "def tools(): pass", "lab/tools": "def used(): pass"}
    assert others(reached("from lab import tools\ntools()", **modules)) == {"__init__.py: tools", "tools.py: used"}


def test_programs_are_modules_to_each_other(reached):
    assert "scripts/other.py: f" in reached("import other\nother.f()", other="def f(): pass\ndef g(): pass")
    assert "scripts/other.py: g" not in reached("import other\nother.f()", other="def f(): pass\ndef g(): pass")
    # What is called like a program and is none.
    assert others(reached("x = {'other': 1}\nother(slice(1))", other="def f(): pass", slice="def g(): pass")) == set()


def test_other_files_are_reached_where_they_are_named(reached):
    files = {"lab/report.html": "<p>", "lab/forms/a.css": "p {}"}
    assert others(reached("Path(x, 'report.html')", **files)) == {"report.html"}
    assert others(reached("PackageLoader('lab', 'forms')", **files)) == {"forms/a.css"}
    assert others(reached("open('forms/a.css')", **files)) == {"forms/a.css"}
    assert others(reached("print('lab')", **files)) == set()
    before = reached("open('report.html')", **files)
    assert reached("open('report.html')", **{**files, "lab/report.html": "<b>"}) != before


BASE = """
    '''What it is.'''
    import math
    # How it is.
    def used(x):
        '''What it does.'''
        return math.sqrt(x + 1.0)
    class Kind:
        '''What it is.'''
        size = 1
"""


@pytest.mark.parametrize(
    ("old", "new", "matters"),
    [
        ("# How it is.", "# Why it is.", False),
        ("'''What it does.'''", "'''Something.'''", False),
        ("'''What it does.'''", "", False),
        ("'''What it is.'''", "'''Something.'''", False),
        ("(x + 1.0)", "(\n            x\n            + 1.0,\n        )", False),
        ("def used", "\n\n    def used", False),
        ("import math", "from __future__ import annotations\n    import math", False),
        ("import math", "import math as m\n    math = m", True),
        ("1.0", "1", True),
        ("x + 1.0", "1.0 + x", True),
        ("import math", "import cmath as math", True),
        ("import math", "from math import sqrt\n    import math", True),
        ("size = 1", "size = 2", True),
        ("import math", "import math\n    import readline", True),
        ("import math", "import math\n    math.pi = 3", True),
    ],
)
def test_what_counts_as_a_change(digest, old, new, matters):
    program = "from lab import tools\ntools.used(1), tools.Kind"
    before = digest(program, **{"lab/tools": BASE})
    after = digest(program, **{"lab/tools": BASE.replace(old, new)})
    assert (before != after) == matters


MESSAGES = """
    import sys
    from lab import cli
    def used(x, parser):
        parser.add_argument("--size", type=int, help="the size")
        if x < 0:
            raise cli.Failure(f"{x} is negative", hint(x))
        print("used", x, file=sys.stderr)
        print(f"next is {follow(x)}")
        return x
    def hint(x): return x
    def follow(x): return x.pop()
"""


@pytest.mark.parametrize(
    ("old", "new", "matters"),
    [
        ("is negative", "must not be negative", False),
        ('f"{x} is negative", hint(x)', '"expected a positive number"', False),
        ("the size", "size in tokens", False),
        (', help="the size"', "", False),
        ('"used", x, file', '"used", len(x), file', False),
        ('print("used", x, file=sys.stderr)\n', "\n", False),
        ("next is", "then comes", False),
        ("def hint(x): return x", "def hint(x): return 2 * x", False),
        ("x < 0", "x <= 0", True),
        ("cli.Failure", "ValueError", True),
        ("type=int", "type=float", True),
        ('"--size"', '"--length"', True),
        # What a message calls may do more than give a text.
        ("{follow(x)}", "{x}", True),
        ("x.pop()", "x", True),
    ],
)
def test_messages_are_no_part(digest, old, new, matters):
    program = "from lab import tools\ntools.used(1, 2)"
    before = digest(program, **{"lab/tools": MESSAGES, "lab/cli": "class Failure(Exception): pass"})
    assert old in MESSAGES
    edited = MESSAGES.replace(old, new)
    assert (before != digest(program, **{"lab/tools": edited, "lab/cli": "class Failure(Exception): pass"})) == matters


@pytest.mark.parametrize("place", ["lab.io", "lab.runtime.io", "lab.workflow.deep.io"])
def test_modules_that_no_result_depends_on_are_outside(digest, reached, place):
    package, _, name = place.rpartition(".")
    packages = {f"{'/'.join(package.split('.')[:end])}/__init__": "" for end in range(1, package.count(".") + 2)}
    outside = place.replace(".", "/")
    runs = f"from {package} import io\ndef f(): return io.rank()"
    modules = {**packages, outside: "RANKS = 3\ndef rank(): return 0", "lab/runs": runs}
    program = f"from lab import runs\nfrom {package} import io\nfrom {place} import rank\nrank(), io.rank(), runs.f()"
    before = digest(program, **modules)
    assert others(reached(program, **modules)) == {"runs.py: f"}
    edited = "import os\nos.environ['A'] = 'b'\nRANKS = 4\ndef rank(): return 1\ndef more(): pass"
    assert digest(program, **{**modules, outside: edited}) == before
    assert digest(program, **{**modules, "lab/runs": runs.replace("io.rank()", "io.ranks()")}) != before
    # A module that moves to another package which is outside changes nothing either.
    elsewhere = {
        **modules,
        "lab/hooks/__init__": "",
        "lab/hooks/io": "",
        "lab/runs": runs.replace(package, "lab.hooks"),
    }
    assert digest(program, **elsewhere) == before


PLACES = {
    "lab/__init__": "",
    "lab/shapes": """
        import numpy as np
        from lab import units
        from lab.units import METRE
        UNITS = {"m": METRE}
        def area(r): return np.pi * r * r * units.METRE
        def double(x):
            from lab.units import twice
            return twice(area(x)) if x else double(x)
        class Circle(units.Shape):
            def area(self): return area(1)
    """,
    "lab/units": "METRE = 1\ndef twice(x): return 2 * x\nclass Shape: pass",
}
USES = "from lab import shapes\nshapes.double(2), shapes.Circle, shapes.UNITS"
# Each is the same program.
MOVED = {
    "a module renamed": {
        "program": USES.replace("import shapes", "import figures as shapes"),
        "lab/__init__": "",
        "lab/figures": PLACES["lab/shapes"],
        "lab/units": PLACES["lab/units"],
    },
    "a module moved into a package": {
        "program": USES,
        "lab/__init__": "",
        "lab/deep/__init__": "",
        "lab/shapes": PLACES["lab/shapes"].replace("from lab", "from lab.deep"),
        "lab/deep/units": PLACES["lab/units"],
    },
    "a definition moved to another module": {
        "program": USES,
        "lab/__init__": "",
        "lab/more": "def twice(x): return 2 * x",
        "lab/shapes": PLACES["lab/shapes"].replace("from lab.units import twice", "from lab.more import twice"),
        "lab/units": "METRE = 1\nclass Shape: pass",
    },
    "names imported instead of modules": {
        "program": "from lab.shapes import Circle, UNITS, double\ndouble(2), Circle, UNITS",
        "lab/__init__": "",
        "lab/shapes": PLACES["lab/shapes"]
        .replace("units.METRE", "METRE")
        .replace("    from lab.units import twice\n            return twice", "    return units.twice"),
        "lab/units": PLACES["lab/units"],
    },
    "another alias": {
        "program": USES,
        "lab/__init__": "",
        "lab/shapes": PLACES["lab/shapes"].replace("np", "numpy").replace("numpy as numpy", "numpy"),
        "lab/units": PLACES["lab/units"],
    },
    "handed on by a package": {
        "program": "from lab import shapes\nshapes.double(2), shapes.Circle, shapes.UNITS",
        "lab/__init__": "",
        "lab/shapes/__init__": "from lab.shapes.all import Circle, UNITS, double",
        "lab/shapes/all": PLACES["lab/shapes"],
        "lab/units": PLACES["lab/units"],
    },
}


@pytest.mark.parametrize("name", MOVED)
def test_places_do_not_count(digest, name):
    assert digest(**MOVED[name]) == digest(USES, **PLACES)


@pytest.mark.parametrize(
    "edit",
    [
        ("lab/shapes", "from lab.units import twice", "from lab.more import twice"),
        ("lab/shapes", "area(1)", "units.twice(1)"),
        ("lab/units", "2 * x", "3 * x"),
        ("lab/shapes", "numpy", "cupy"),
    ],
)
def test_what_a_reference_means_counts(digest, edit):
    file, old, new = edit
    more = {"lab/more": "def twice(x): return x + x"}
    assert old in PLACES[file]
    before = digest(USES, **PLACES, **more)
    assert before != digest(USES, **{**PLACES, file: PLACES[file].replace(old, new)}, **more)


def test_definitions_of_the_same_name_are_told_apart(digest):
    modules = {
        "lab/a": "def f(x): return x\ndef g(x): return f(x)",
        "lab/b": "def f(x): return -x\ndef g(x): return f(x)",
    }
    program = "from lab import a, b\nX = a.g(1)\nY = b.g(2)"
    swapped = "from lab import a, b\nX = b.g(1)\nY = a.g(2)"
    assert digest(program, **modules) != digest(swapped, **modules)


def test_a_file_that_is_no_python_is_named(reached):
    with pytest.raises(SyntaxError, match=r"tools\.py"):
        reached("from lab import tools", **{"lab/tools": "def ("})


# On the project's own programs -------------------------------------------------------------------------------------------


def digests(scripts, plugin_modules, read=Path.read_bytes):
    """Digest of each program in a folder, with the plug-ins that the default grid names."""
    return {
        path.stem: identity.find(scripts / path.name, plugin_modules.get(path.stem, ()), read)["digest"]
        for path in PROGRAMS
    }


@pytest.fixture(scope="module")
def plugin_modules():
    """Modules of the plug-ins that the default grid names, by rule."""
    modules = {}
    trunk = {"schedule": "trunk", "passes": 1, "decay_ratio": 0.2, "warmup_tokens": 10}
    for step in steps.Steps(configuration({"pretrain": {"per_model": {"small": trunk}}})):
        modules.setdefault(step.rule, set()).update(step.kind.plugin_modules(step.recipe))
    return {rule: tuple(sorted(names)) for rule, names in modules.items()}


@pytest.fixture(scope="module")
def changed(plugin_modules):
    """Programs that reach other definitions when some source files hold something else."""
    before = digests(SCRIPTS, plugin_modules)

    def by(edits):
        after = digests(SCRIPTS, plugin_modules, lambda file: edits.get(file) or file.read_bytes())
        return {name for name in before if before[name] != after[name]}

    return by


ALL = {path.stem for path in PROGRAMS}
FIGURES = {name for name in steps.KINDS if name.startswith("figure_")}
TRAININGS = {"pretrain", "trunk", "finetune"}


@pytest.mark.parametrize(
    ("file", "definition", "programs"),
    [
        ("pretrain.py", "main", {"pretrain"}),
        ("segments.py", "ROWS", {"segments"}),
        ("figure_loss.py", "main", {"figure_loss"}),
        ("gridlaw/data/masking.py", "Masker", {"pretrain", "trunk"}),
        ("gridlaw/models/family.py", "dropouts", TRAININGS),
        ("gridlaw/models/classifier.py", "Classify", {"finetune"}),
        ("gridlaw/models/modeling.py", "classifier", {"finetune"}),
        ("gridlaw/models/sparse.py", "LastLayer", TRAININGS),
        ("gridlaw/training/optimization.py", "arguments", TRAININGS),
        ("gridlaw/training/schedule.py", "make_schedule", {"finetune"}),
        ("gridlaw/report/plotting.py", "MARKERS", FIGURES - {"figure_costs"}),
        ("gridlaw/report/plotting.py", "figure", FIGURES),
        ("gridlaw/report/plotting.py", syntax.LEVEL, FIGURES),
        ("gridlaw/tasks/metrics/accuracy.py", "METRIC", {"score", "baseline"}),
        ("gridlaw/tasks/kinds/classification.py", "KIND", {"task", "finetune", "score", "baseline"}),
        ("gridlaw/stats/intervals.py", "mean_interval", {"aggregate"}),
        ("gridlaw/stats/intervals.py", "summarise_pooled", {"figure_loss", "figure_parameters", "latex"}),
        ("gridlaw/data/language.py", "DOCUMENT", {"corpus"}),
        ("gridlaw/data/language.py", "HAVE", {"corpus", "task"}),
        ("gridlaw/data/segmentation.py", "segments", {"segments"}),
        ("gridlaw/data/sources.py", "documents", {"corpus"}),
        ("gridlaw/data/columns.py", "read", {"corpus", "task"}),
        # Nothing that a program computes: what is between programs and Snakemake.
        ("gridlaw/workflow/identity.py", "find", set()),
        ("gridlaw/config/loading.py", "complete", set()),
        ("gridlaw/workflow/kinds/data.py", "CORPUS", set()),
    ],
)
def test_an_edit_changes_the_programs_that_it_reaches(changed, file, definition, programs):
    path = SCRIPTS / file
    edit = "for _ in (): pass" if definition == syntax.LEVEL else f"{definition} = {definition}"
    assert changed({path: f"{path.read_text()}\n{edit}\n".encode()}) == programs


# Each with the programs whose results it could change.
EDITS = {
    "another period of the heartbeat": ("gridlaw/runtime/heartbeat.py", "PERIOD_SECONDS = 5.0", "PERIOD_SECONDS = 6.0", set()),
    "a renamed curve of TensorBoard": ("gridlaw/runtime/callbacks.py", "train/gradient_norm", "train/norm", set()),
    "another number of evaluations": ("gridlaw/runtime/callbacks.py", "range(1, times)", "range(2, times)", set()),
    "another reading of the energy meter": ("gridlaw/runtime/energy.py", "/ 1e6", "/ 1e3", set()),
    "another measure of speed": ("gridlaw/runtime/measures.py", "0.98", "0.99", set()),
    "other ports for ranks": ("gridlaw/runtime/launch.py", "range(20000", "range(21000", set()),
    "a longer lease": ("gridlaw/workflow/work_folder.py", "LEASE_SECONDS = 60.0", "LEASE_SECONDS = 90.0", set()),
    "the text of a failure": ("gridlaw/training/pretraining.py", "sequences of the slice", "rows of the slice", set()),
    "a printed message": ("gridlaw/training/checkpoints.py", "resuming from optimizer step", "going on at", set()),
    "the help of an option": ("gridlaw/workflow/kinds/training.py", "minutes between checkpoints", "period", set()),
    "another recipe": ("gridlaw/workflow/kinds/training.py", 'values["batch_size"] *= int(gpus)', "pass", set()),
    "another default": ("gridlaw/config/hyperparameters.py", '"evaluations"}', '"evaluations", "compile"}', set()),
    "the number of FLOPs": ("gridlaw/models/flops.py", "6 * outside", "5 * outside", {"pretrain", "trunk"}),
    "a shape of the schedule": ("gridlaw/training/schedule.py", "1 - math.sqrt(progress)", "1 - progress**2", TRAININGS),
    "the point where a size branches off": (
        "gridlaw/training/schedule.py", "steps - round(decay_ratio", "steps - int(decay_ratio", {"pretrain", "trunk"}
    ),
    "the rule that masks tokens": ("gridlaw/data/masking.py", "fate < 0.8", "fate < 0.7", {"pretrain", "trunk"}),
    "an argument of the optimizer": ("gridlaw/training/optimization.py", 'recipe["adam_beta2"]', "0.999", TRAININGS),
    "the content of a checkpoint": (
        "gridlaw/training/checkpoints.py", '"step_seconds": step_seconds', '"step_seconds": []', TRAININGS
    ),
    "the held-out loss": ("gridlaw/training/pretraining.py", "mean = total / count", "mean = total", {"pretrain"}),
}  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "programs"), EDITS.values(), ids=EDITS)
def test_an_edit_changes_what_it_could_make_differ(changed, file, old, new, programs):
    path = SCRIPTS / file
    assert old in path.read_text()
    assert changed({path: path.read_text().replace(old, new).encode()}) == programs


def test_a_moved_module_changes_no_program(tmp_path):
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "gridlaw/tables.py").rename(scripts / "gridlaw/stats/frames.py")
    importers = set()
    for path in scripts.rglob("*.py"):
        text = path.read_text()
        if "gridlaw.tables" in text:
            importers.add(path.stem)
            path.write_text(text.replace("gridlaw.tables", "gridlaw.stats.frames"))
    assert {"laws", "aggregate", "figure_loss"} <= importers
    assert digests(scripts, {}) == digests(SCRIPTS, {})


NEW = {
    "gridlaw/models/families/novel.py": 'from gridlaw.models.family import Family\nFAMILY = Family(tokenizer="wordpiece")',
    "gridlaw/tasks/kinds/ranking.py": "from gridlaw.tasks.kinds.regression import KIND",
    "gridlaw/tasks/metrics/balanced.py": "from gridlaw.tasks.metrics.recall import METRIC",
    "gridlaw/objectives/kinds/causal_lm.py": "from gridlaw.objectives.kinds.masked_lm import OBJECTIVE",
}


@pytest.mark.parametrize("file", NEW)
def test_a_plugin_that_no_recipe_names_changes_no_program(tmp_path, plugin_modules, file):
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / file).write_text(f"{NEW[file]}\nMORE = 1\n")
    forget()
    assert digests(scripts, plugin_modules) == digests(SCRIPTS, plugin_modules)
    more = {rule: (*names, file.removesuffix(".py").replace("/", ".")) for rule, names in plugin_modules.items()}
    named = digests(scripts, more)
    assert all(named[rule] != digest for rule, digest in digests(SCRIPTS, plugin_modules).items() if rule in more)


@pytest.mark.parametrize(
    ("file", "recipe", "programs"),
    [
        ("gridlaw/models/families/bert.py", "family", TRAININGS),
        ("gridlaw/objectives/kinds/masked_lm.py", "objective", {"pretrain", "trunk"}),
        ("gridlaw/tasks/kinds/regression.py", "task", set()),
        ("gridlaw/models/families/roberta.py", "family", set()),
        ("gridlaw/tasks/metrics/pearson.py", "metric", set()),
    ],
)
def test_an_edit_of_a_plugin_changes_programs_whose_recipe_names_it(changed, file, recipe, programs):
    """The default grid has BERTs, and classifications scored by accuracy and Matthews correlation."""
    path = SCRIPTS / file
    assert changed({path: path.read_bytes() + b"\nMORE = 1\n"}) == programs


def test_a_checkpoint_of_unknown_family_may_need_all():
    model = {"pretrained": "owner/name", "revision": "main"}
    whole = configuration({"models": ["other"], "sizes": [0], "exclude": [], "catalogue": {"models": {"other": model}}})
    named = configuration({
        "models": ["other"], "sizes": [0], "exclude": [],
        "catalogue": {"models": {"other": model | {"model_type": "roberta"}}},
    })  # fmt: skip
    for config, expected in ((whole, 7), (named, 1)):
        for step in steps.Steps(config):
            if step.rule in ("pretrain", "finetune"):
                families = [name for name in step.kind.plugin_modules(step.recipe) if ".families." in name]
                assert len(families) == expected, step.name


@pytest.mark.parametrize("file", ["report/captions/figures/loss.rst", "report/templates/page.css"])
def test_a_text_changes_the_programs_that_show_it(changed, file):
    path = SCRIPTS / "gridlaw" / file
    assert changed({path: path.read_bytes() + b"\nmore\n"}) == {"report"}


def rewritten(source):
    """A module without comments, in another layout, with other docstrings."""
    module = ast.parse(source)
    for node in ast.walk(module):
        if isinstance(node, syntax.DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body[0].value.value = "Other words."
    return ast.unparse(module).encode()


def test_comments_layout_and_docstrings_change_no_program(changed):
    edits = {path: rewritten(path.read_bytes()) for path in SCRIPTS.rglob("*.py")}
    assert all(edits[path] != path.read_bytes() for path in PROGRAMS)
    assert changed(edits) == set()


PYTHONS = [found for minor in range(11, 16) if (found := shutil.which(f"python3.{minor}"))]


def test_every_python_gives_the_same_digests():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom gridlaw.workflow import identity\nfrom pathlib import Path\n"
    )
    script += "for program in sys.argv[2:]: print(identity.digest(Path(program)))"
    expected = [identity.digest(path) for path in PROGRAMS]
    said = {}
    for python in PYTHONS:
        done = subprocess.run([python, "-c", script, SCRIPTS, *PROGRAMS], capture_output=True, text=True)
        # A launcher may stand for a version that is not installed.
        if done.returncode == 0:
            said[python] = done.stdout.split()
    assert said
    assert all(digests == expected for digests in said.values())
