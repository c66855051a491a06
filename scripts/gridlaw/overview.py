"""The grid in a terminal: a mark for each cell, what is stale and why, what running it would take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from gridlaw import grid
from gridlaw.grid import Cell
from gridlaw.states import DONE, FAILED, INTERRUPTED, NEW, PARTLY, RUNNING, STALE
from gridlaw.steps import FILES, Step
from gridlaw.terminal import MARKS, Terminal, shortened
from gridlaw.verdicts import Verdicts
from gridlaw.words import join_comma

# Between the columns of the matrix.
GAP = "  "
# Characters of a model's name that are shown.
NAME = 24
# Reasons and causes of one kind that are shown.
SHOWN = 6


class Tally:
    """How many steps of a cell are done, and what state that is.

    Args:
        states: of its steps.
    """

    def __init__(self, states: Iterable[str]):
        self.states = Counter(states)
        self.total = self.states.total()

    @property
    def state(self) -> str:
        """One of `MARKS`: the worst that any step has."""
        for state in (FAILED, RUNNING, STALE):
            if self.states[state]:
                return state
        if self.states[DONE] == self.total:
            return DONE
        return PARTLY if self.states[DONE] or self.states[INTERRUPTED] else NEW

    def text(self, terminal: Terminal) -> str:
        """Its mark, and where that does not say it, how many of its steps are done."""
        mark = terminal.mark(self.state)
        return mark if self.state in (DONE, NEW) else f"{mark} {self.states[DONE]}/{self.total}"


class Overview:
    """The grid as it is, and what is due.

    Args:
        verdicts: on the grid's steps.
        due: the steps that are to be made.
        why: of each step that is due, its root causes.
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
        """A step's state among the others: what is due is not done, whatever its own record says."""
        if step not in self.due:
            return DONE
        state = self.verdicts.of(step).state
        return STALE if state == DONE else state

    def steps_behind(self, cell: Cell) -> list[Step]:
        """A cell's own steps and all that their results come from, upstream first."""
        return list(dict.fromkeys(found for step in self.steps[cell] for found in (*step.ancestors(), step)))

    def lines(self, terminal: Terminal) -> Iterator[str]:
        """All of it."""
        yield from self.matrix(terminal)
        more = [*self.reasons(terminal), *self.unfinished(terminal)]
        yield from ["", *more] if more else []

    def matrix(self, terminal: Terminal) -> Iterator[str]:
        """Models by sizes with a mark for each gpus value, how many steps are done where there is room; a legend."""
        ranks = sorted(self.config["gpus"])
        sizes = sorted({cell.size for cell in self.cells}, key=grid.size_order)
        texts = {cell: tally.text(terminal) for cell, tally in self.tallies.items()}
        wide = []
        for size in sizes:
            own = [cell for cell in self.cells if cell.size == size]
            there = sorted({cell.gpus for cell in own})
            wide.append(Column(size, there, max([*(len(texts[cell]) for cell in own), len(str(there[-1]))]), " "))
        names = min(NAME, max(len("gpus"), *map(len, self.config["models"]))) + len(GAP)
        is_wide = names + sum(column.width + len(GAP) for column in wide) <= terminal.width
        columns = wide if is_wide else [Column(size, ranks, 1, "") for size in sizes]
        while columns:
            block = _fitting(columns, terminal.width - names)
            yield from self._block(terminal, names, block, texts)
            yield ""
            columns = columns[len(block) :]
        found = {tally.state for tally in self.tallies.values()}
        about = ["k/n of its steps done"] * bool(is_wide and found - {DONE, NEW})
        about += [f"marks of a size: gpus {join_comma(ranks)}"] * (not is_wide and ranks[-1] > 9)
        yield from terminal.legend([state for state in MARKS if state in found], *about)

    def _block(self, terminal: Terminal, names: int, columns: list[Column], texts: dict[Cell, str]) -> Iterator[str]:
        """Some columns of the matrix, behind the models' names."""
        yield (" " * names + GAP.join(column.size.ljust(column.width) for column in columns)).rstrip()
        # A number that has no room above its mark stands in the legend.
        if len(self.config["gpus"]) > 1 and all(len(str(n)) <= column.mark for column in columns for n in column.gpus):
            numbers = (column.joined([str(n).ljust(column.mark) for n in column.gpus]) for column in columns)
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
                row.append(column.joined(marks))
            yield (shortened(model, names - len(GAP)).ljust(names) + GAP.join(row)).rstrip()

    def reasons(self, terminal: Terminal) -> Iterator[str]:
        """Why what was done is stale: each reason once, with the cells that it touches."""
        touched: dict[str, set[Cell]] = defaultdict(set)
        rules: dict[str, str] = {}
        # What only tables and figures are stale of is worth a line if there is nothing else to say.
        whole = all(tally.state == DONE for tally in self.tallies.values())
        for step, lines in self.why.items():
            for line, origin in lines.items():
                if step.cell in self.tallies and self.verdicts.record(step.record) is not None:
                    touched[line].add(step.cell)
                elif origin is step and (whole or step.rule not in FILES):
                    touched[line] |= set()
                    rules[line] = step.rule
        groups: dict[tuple[str, frozenset[Cell]], list[str]] = defaultdict(list)
        for line, cells in touched.items():
            groups["" if cells else rules[line], frozenset(cells)].append(line)
        for (rule, cells), lines in groups.items():
            lines = _by_file(lines)
            more = [f"and {len(lines) - SHOWN} more, which explain shows"] if len(lines) > SHOWN else []
            text = f"{'; '.join([*lines[:SHOWN], *more])}: {rule or self.named(cells)}"
            yield from terminal.marked(STALE, text)

    def unfinished(self, terminal: Terminal) -> Iterator[str]:
        """What is known of failed and interrupted runs: each cause once, with its steps."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for step in self.verdicts.steps:
            verdict = self.verdicts.of(step)
            if verdict.state in (FAILED, INTERRUPTED, RUNNING):
                found[verdict.state, *verdict.reasons].append(step.name)
        for state in (FAILED, INTERRUPTED, RUNNING):
            causes = {cause: names for (of, cause), names in found.items() if of == state}
            for cause, names in list(causes.items())[:SHOWN]:
                others = f" and {len(names) - 1} more" if len(names) > 1 else ""
                shown_as = PARTLY if state == INTERRUPTED else state
                yield from terminal.marked(shown_as, f"{state}: {names[0]}{others}: {cause}")
            if len(causes) > SHOWN:
                yield f"  and {len(causes) - SHOWN} more that {state}"

    def named(self, cells: Collection[Cell]) -> str:
        """Cells in a few words: `tiny, all sizes`."""
        every = _all_but_ranks(cells, self.cells)
        if every is not None:
            return f"all cells{every}"
        whole, some = defaultdict(list), defaultdict(list)
        for of, chosen in ((whole, self.cells), (some, cells)):
            for cell in chosen:
                of[cell.model].append(cell)
        patterns: dict[str, list[str]] = defaultdict(list)
        for model in [model for model in self.config["models"] if model in some]:
            every = _all_but_ranks(some[model], whole[model])
            patterns[_sizes(some[model], whole[model]) if every is None else f", all sizes{every}"].append(model)
        return "; ".join(f"{join_comma(models)}{pattern}" for pattern, models in patterns.items())


@dataclass(frozen=True)
class Column:
    """The cells of one size: a mark for each gpus value, `mark` characters wide, with a gap in between."""

    size: str
    gpus: list[int]
    mark: int
    gap: str

    @property
    def width(self) -> int:
        """Characters of the whole."""
        return max(len(self.size), len(self.gap.join(["x" * self.mark] * len(self.gpus))))

    def joined(self, marks: list[str]) -> str:
        """Marks side by side, the column filled; they may hold colours, so that their length is not asked."""
        bare = len(self.gap.join(["x" * self.mark] * len(self.gpus)))
        return self.gap.join(marks) + " " * (self.width - bare)


def _fitting(columns: list[Column], width: int) -> list[Column]:
    """The first columns, as many as fit side by side; at least one."""
    ends = accumulate(column.width + len(GAP) for column in columns)
    return columns[: max(1, sum(end <= width for end in ends))]


def _by_file(lines: list[str]) -> list[str]:
    """Reasons in which all definitions of a file that changed are one, after those of the configuration."""
    files: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        file, _, change = line.partition(": ")
        files[file if file.startswith("scripts/") else ""].append(change if file.startswith("scripts/") else line)
    whole = files.pop("", [])
    for file, changes in files.items():
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        whole.append(f"{file}: {join_comma(changes[:3])}{more}")
    return whole


def _all_but_ranks(some: Collection[Cell], whole: Collection[Cell]) -> str | None:
    """Which gpus values tell some cells from the others, if nothing else does; an empty text if all are meant."""
    ranks = {cell.gpus for cell in some}
    if set(some) != {cell for cell in whole if cell.gpus in ranks}:
        return None
    return _on(ranks, {cell.gpus for cell in whole})


def _sizes(some: Collection[Cell], whole: Collection[Cell]) -> str:
    """Which sizes of a model, and which gpus values where it is not all that there are."""
    parts = defaultdict(list)
    for size in sorted({cell.size for cell in some}, key=grid.size_order):
        ranks, every = ({cell.gpus for cell in cells if cell.size == size} for cells in (some, whole))
        parts[_on(ranks, every)].append(size)
    return " " + ", ".join(f"{join_comma(sizes)}{ranks}" for ranks, sizes in parts.items())


def _on(ranks: set[int], every: set[int]) -> str:
    return "" if ranks == every else f" on gpus {join_comma(sorted(ranks))}"
