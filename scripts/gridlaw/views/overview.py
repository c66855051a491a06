"""The grid in a terminal: a mark for each cell, the reasons for stale results, and failed and interrupted runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from gridlaw.config import grid
from gridlaw.config.grid import Cell
from gridlaw.cost import capacity
from gridlaw.views.terminal import MARKS, Terminal, shorten
from gridlaw.words import join_comma
from gridlaw.workflow.reasons import DefinitionReason
from gridlaw.workflow.states import DONE, FAILED, INTERRUPTED, NEW, PARTLY, RUNNING, STALE
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import Step

# Gap between the columns of the matrix.
GAP = "  "
# Largest width of a model's name.
NAME = 24
# Largest number of reasons or causes of one kind that are shown.
SHOWN = 6


class Tally:
    """The state of a cell, from the states of its steps.

    Args:
        states: states of its steps.
    """

    def __init__(self, states: Iterable[str]):
        self.states = Counter(states)
        self.total = self.states.total()

    @property
    def state(self) -> str:
        """The cell's state, a key of `MARKS`: the worst state of its steps."""
        for state in (FAILED, RUNNING, STALE):
            if self.states[state]:
                return state
        if self.states[DONE] == self.total:
            return DONE
        return PARTLY if self.states[DONE] or self.states[INTERRUPTED] else NEW

    def text(self, terminal: Terminal) -> str:
        """The mark of its state, with the number of finished steps if some are not."""
        mark = terminal.mark(self.state)
        return mark if self.state in (DONE, NEW) else f"{mark} {self.states[DONE]}/{self.total}"


class Overview:
    """The state of the grid.

    Args:
        verdicts: verdicts on the grid's steps.
        due: steps to be made.
        why: root causes of each step that is due.
    """

    def __init__(self, verdicts: Verdicts, due: set[Step], why: dict[Step, dict[str, Step]]):
        self.config, self.verdicts, self.due, self.why = verdicts.config, verdicts, due, why
        self.cells = list(grid.cells(self.config))
        self.steps: dict[Cell, list[Step]] = {cell: [] for cell in self.cells}
        for step in verdicts.steps:
            if step.cell in self.steps:
                self.steps[step.cell].append(step)
        self.tallies = {cell: Tally(map(self.state, steps)) for cell, steps in self.steps.items()}

    def state(self, step: Step) -> str:
        """A step's state in the grid: a step that is due counts as stale, even if its own record is valid."""
        if step not in self.due:
            return DONE
        state = self.verdicts.verdict(step).state
        return STALE if state == DONE else state

    def steps_behind(self, cell: Cell) -> list[Step]:
        """The steps of a cell and all steps that they depend on, upstream first."""
        chains = ([*step.ancestors(), step] for step in self.steps[cell])
        return list(dict.fromkeys(step for chain in chains for step in chain))

    def lines(self, terminal: Terminal) -> Iterator[str]:
        """All lines of the overview."""
        yield from self.matrix(terminal)
        more = [*self.reasons(terminal), *self.unfinished(terminal), *self.notes(terminal)]
        yield from ["", *more] if more else []

    def matrix(self, terminal: Terminal) -> Iterator[str]:
        """A row for each model, a column for each size, a mark for each gpus value, and a legend.

        Marks have numbers of finished steps if the terminal is wide enough.
        """
        ranks = sorted(self.config["gpus"])
        sizes = sorted({cell.size for cell in self.cells}, key=grid.size_order)
        texts = {cell: tally.text(terminal) for cell, tally in self.tallies.items()}
        wide = []
        for size in sizes:
            cells_of_size = [cell for cell in self.cells if cell.size == size]
            values = sorted({cell.gpus for cell in cells_of_size})
            width = max([*(len(texts[cell]) for cell in cells_of_size), len(str(values[-1]))])
            wide.append(Column(size, values, width, " "))
        names = min(NAME, max(len("gpus"), *map(len, self.config["models"]))) + len(GAP)
        is_wide = names + sum(column.width + len(GAP) for column in wide) <= terminal.width
        columns = wide if is_wide else [Column(size, ranks, 1, "") for size in sizes]
        while columns:
            block = _fit(columns, terminal.width - names)
            yield from self._block(terminal, names, block, texts)
            yield ""
            columns = columns[len(block) :]
        states = {tally.state for tally in self.tallies.values()}
        notes = ["k/n of its steps done"] * bool(is_wide and states - {DONE, NEW})
        notes += [f"marks of a size: gpus {join_comma(ranks)}"] * (not is_wide and ranks[-1] > 9)
        yield from terminal.legend([state for state in MARKS if state in states], *notes)

    def _block(self, terminal: Terminal, names: int, columns: list[Column], texts: dict[Cell, str]) -> Iterator[str]:
        """Some columns of the matrix, after the models' names."""
        yield (" " * names + GAP.join(column.size.ljust(column.width) for column in columns)).rstrip()
        # Numbers wider than a mark stand in the legend instead.
        if len(self.config["gpus"]) > 1 and all(len(str(n)) <= column.mark for column in columns for n in column.gpus):
            numbers = (column.join([str(n).ljust(column.mark) for n in column.gpus]) for column in columns)
            yield ("gpus".ljust(names) + GAP.join(numbers)).rstrip()
        for model in self.config["models"]:
            row = []
            for column in columns:
                cells = [Cell(model, column.size, n) for n in column.gpus]
                marks = [
                    terminal.paint(texts[cell][: column.mark].ljust(column.mark), self.tallies[cell].state)
                    if cell in texts
                    else " " * column.mark
                    for cell in cells
                ]
                row.append(column.join(marks))
            yield (shorten(model, names - len(GAP)).ljust(names) + GAP.join(row)).rstrip()

    def reasons(self, terminal: Terminal) -> Iterator[str]:
        """The reasons for stale results: each reason once, with the cells that it affects."""
        cells_by_reason: dict[str, set[Cell]] = {}
        rules: dict[str, str] = {}
        # Reasons of tables and figures alone are shown only if every cell is done.
        all_done = all(tally.state == DONE for tally in self.tallies.values())
        for step, lines in self.why.items():
            for line, origin in lines.items():
                if step.cell in self.tallies and self.verdicts.record(step.record) is not None:
                    cells_by_reason.setdefault(line, set()).add(step.cell)
                elif origin is step and (all_done or not step.kind.single):
                    cells_by_reason.setdefault(line, set())
                    rules[line] = step.rule
        groups: dict[tuple[str, frozenset[Cell]], list[str]] = defaultdict(list)
        for line, cells in cells_by_reason.items():
            groups["" if cells else rules[line], frozenset(cells)].append(line)
        for (rule, cells), lines in groups.items():
            lines = _by_file(lines)
            more = [f"and {len(lines) - SHOWN} more, which explain shows"] if len(lines) > SHOWN else []
            text = f"{'; '.join([*lines[:SHOWN], *more])}: {rule or self.describe(cells)}"
            yield from terminal.marked(STALE, text)

    def unfinished(self, terminal: Terminal) -> Iterator[str]:
        """Failed, interrupted and running steps: each cause once, with its steps."""
        names_by_cause: dict[tuple[str, str], list[str]] = defaultdict(list)
        for step in self.verdicts.steps:
            verdict = self.verdicts.verdict(step)
            if verdict.state in (FAILED, INTERRUPTED, RUNNING):
                names_by_cause[verdict.state, *verdict.reasons].append(step.name)
        for state in (FAILED, INTERRUPTED, RUNNING):
            causes = {cause: names for (other, cause), names in names_by_cause.items() if other == state}
            for cause, names in list(causes.items())[:SHOWN]:
                others = f" and {len(names) - 1} more" if len(names) > 1 else ""
                mark = PARTLY if state == INTERRUPTED else state
                yield from terminal.marked(mark, f"{state}: {names[0]}{others}: {cause}")
            if len(causes) > SHOWN:
                yield f"  and {len(causes) - SHOWN} more that {state}"

    def notes(self, terminal: Terminal) -> Iterator[str]:
        """Sizes that the text probably cannot fill, and notes in the records of finished steps: each line once."""
        records = (self.verdicts.record(step.record) or {} for step in self.verdicts.steps)
        noted = dict.fromkeys(line for record in records for line in record.get("notes", []))
        lines = [*capacity.doubts(self.config), *noted]
        for line in lines[:SHOWN]:
            yield from terminal.wrapped("!", line, 2)
        if len(lines) > SHOWN:
            yield f"  and {len(lines) - SHOWN} more notes, which are in records"

    def describe(self, cells: Collection[Cell]) -> str:
        """Cells in a few words, such as `tiny, all sizes`."""
        ranks = _ranks_alone(cells, self.cells)
        if ranks is not None:
            return f"all cells{ranks}"
        patterns: dict[str, list[str]] = defaultdict(list)
        for model in self.config["models"]:
            some, whole = ([cell for cell in group if cell.model == model] for group in (cells, self.cells))
            if some:
                ranks = _ranks_alone(some, whole)
                patterns[_sizes(some, whole) if ranks is None else f", all sizes{ranks}"].append(model)
        return "; ".join(f"{join_comma(models)}{pattern}" for pattern, models in patterns.items())


@dataclass(frozen=True)
class Column:
    """A column of the matrix: a size, with marks for its gpus values.

    Args:
        mark: width of a mark.
        gap: text between two marks.
    """

    size: str
    gpus: list[int]
    mark: int
    gap: str

    @property
    def width(self) -> int:
        """Its width in characters."""
        return max(len(self.size), len(self.gap.join(["x" * self.mark] * len(self.gpus))))

    def join(self, marks: list[str]) -> str:
        """Join marks and fill the column; marks may contain colour codes, which do not count as width."""
        bare = len(self.gap.join(["x" * self.mark] * len(self.gpus)))
        return self.gap.join(marks) + " " * (self.width - bare)


def _fit(columns: list[Column], width: int) -> list[Column]:
    """The first columns that fit side by side, at least one."""
    ends = accumulate(column.width + len(GAP) for column in columns)
    return columns[: max(1, sum(end <= width for end in ends))]


def _by_file(lines: list[str]) -> list[str]:
    """Reasons with the changed definitions of each file on one line, after the reasons of the configuration."""
    merged = [line for line in lines if not isinstance(line, DefinitionReason)]
    changes_by_file: dict[str, list[str]] = defaultdict(list)
    for reason in lines:
        if isinstance(reason, DefinitionReason):
            changes_by_file[reason.file].append(reason.change)
    for file, changes in changes_by_file.items():
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        merged.append(f"{file}: {join_comma(changes[:3])}{more}")
    return merged


def _ranks_alone(some: Collection[Cell], whole: Collection[Cell]) -> str | None:
    """The gpus values that distinguish some cells from the others; empty for all of them, None if more differs."""
    ranks = {cell.gpus for cell in some}
    if set(some) != {cell for cell in whole if cell.gpus in ranks}:
        return None
    return _on_gpus(ranks, {cell.gpus for cell in whole})


def _sizes(some: Collection[Cell], whole: Collection[Cell]) -> str:
    """Sizes of some cells of a model, and their gpus values if they are not all."""
    parts = defaultdict(list)
    for size in sorted({cell.size for cell in some}, key=grid.size_order):
        ranks, every = ({cell.gpus for cell in cells if cell.size == size} for cells in (some, whole))
        parts[_on_gpus(ranks, every)].append(size)
    return " " + ", ".join(f"{join_comma(sizes)}{ranks}" for ranks, sizes in parts.items())


def _on_gpus(ranks: set[int], every: set[int]) -> str:
    return "" if ranks == every else f" on gpus {join_comma(sorted(ranks))}"
