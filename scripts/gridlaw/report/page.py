"""The page of the report: one self-contained HTML file, for screens of any size, light and dark, and for print."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from gridlaw.config import grid
from gridlaw.workflow.states import DONE, FAILED, NEW, PARTLY, RUNNING, STALE

# Largest number of rows of a table on the page; its CSV has all.
SHOWN = 2000
# Longest text, in characters, that stays on one line.
LONG = 40
# Letters of the states in the grid, readable without colours.
LETTERS = {DONE: "D", PARTLY: "P", NEW: "N", STALE: "S", FAILED: "F", RUNNING: "R"}
TEMPLATES = Path(__file__).parent / "templates"


def render(**parts: object) -> str:
    """Render the page; `parts` are the variables of its template."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html").render(letters=LETTERS, **parts)


def source(content: bytes, kind: str) -> str:
    """Content as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def table(name: str, title: str, caption: str, data: pd.DataFrame) -> dict:
    """A table for the template, with all its rows to download."""
    return {
        "name": name,
        "title": title,
        "caption": caption,
        "columns": [_header(column, data[column]) for column in data],
        "rows": [list(map(_cell, data, row)) for row in data.head(SHOWN).itertuples(index=False)],
        "count": len(data),
        "source": source(data.to_csv(index=False).encode(), "text/csv;charset=utf-8"),
    }


def matrix(cells: Iterable[dict]) -> dict:
    """The grid's state for the template: a row for each model, a column for each size and gpus value.

    Args:
        cells: `model`, `size`, `gpus`, `state`, and `done` steps out of `total`, of each cell.
    """
    by_place = {(cell["model"], cell["size"], cell["gpus"]): cell for cell in cells}
    places = sorted({place[1:] for place in by_place}, key=lambda place: (grid.size_order(place[0]), place[1]))
    sizes = Counter(size for size, _ in places)
    several = len({gpus for _, gpus in places}) > 1
    rows = {
        model: [_mark(by_place.get((model, *place))) for place in places]
        for model in dict.fromkeys(model for model, *_ in by_place)
    }
    states = Counter(cell["state"] for cell in by_place.values())
    return {
        "sizes": list(sizes.items()),
        "gpus": [gpus for _, gpus in places] if several else [],
        "rows": rows,
        "states": {state: states[state] for state in LETTERS if states[state]},
    }


def _mark(cell: dict | None) -> dict | None:
    if cell is None:
        return None
    is_plain = cell["state"] in (DONE, NEW)
    return {"state": cell["state"], "part": "" if is_plain else f"{cell['done']}/{cell['total']}"}


def _header(column: object, values: pd.Series) -> dict:
    """A column's header, aligned with its numbers."""
    numbers = is_numeric_dtype(values) and not is_bool_dtype(values)
    return {"text": str(column).replace("_", " "), "attributes": Markup(" class=n" * numbers)}


def _cell(column: str, value: object) -> dict:
    """A value's text, and HTML attributes for alignment and sorting."""
    attributes = ""
    if value is None or (isinstance(value, float) and value != value):
        text = ""
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        text = str(value)
        if column == "size":
            attributes = f" data-v={grid.size_order(text):g}"
        elif len(text) > LONG:
            attributes = " class=l"
    else:
        is_whole = float(value).is_integer() or abs(value) >= 1000
        text = f"{value:,.0f}" if is_whole and abs(value) < 1e15 else f"{value:.4g}"
        attributes = " class=n" + (f" data-v={value:.9g}" if text != f"{value:g}" else "")
    return {"text": text, "attributes": Markup(attributes)}
