"""The page of the report: one file that needs nothing else, for any screen, in light and dark, and for print."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable

import jinja2
import pandas as pd
from markupsafe import Markup
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from gridlaw import grid
from gridlaw.states import DONE, FAILED, NEW, PARTLY, RUNNING, STALE

# Rows of a table that the page shows; all of them are in its CSV.
SHOWN = 2000
# Characters of a text that takes more than one line.
LONG = 40
# Of each state the letter in the grid, which says it without colours.
LETTERS = {DONE: "D", PARTLY: "P", NEW: "N", STALE: "S", FAILED: "F", RUNNING: "R"}
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --text: #1d1f23; --soft: #5b616b; --line: #d9dce1; --back: #fff; --raised: #f5f6f8;
  --mark: #0068a6; --D: #d5eadb; --P: #fdeebf; --N: #eceef1; --S: #ead9f2; --F: #f9cfc8; --R: #cfe6f7; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --soft: #a2a9b4; --line: #3a3f47; --back: #16181c;
  --raised: #1f2227; --mark: #6fc0ee; --D: #1f4a30; --P: #544410; --N: #2a2e35; --S: #47305a; --F: #6b241b;
  --R: #1c4666; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, li { max-width: 48rem; }
a { color: var(--mark); }
h2 a, h3 a, .state a { color: inherit; text-decoration: none; }
h2 a:hover::after, h3 a:hover::after { content: " #"; color: var(--soft); }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.state { border-left: .3rem solid var(--mark); padding: .2rem 0 .2rem .8rem; }
nav { display: flex; flex-wrap: wrap; gap: .3rem .9rem; }
ul { padding-left: 1.2rem; }
li { margin: .4rem 0; }
figure { margin: 1.2rem 0 2rem; }
figure img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px;
  padding: .5rem; }
.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 6px; max-height: 32rem; }
.scroll:focus-visible, button:focus-visible { outline: 2px solid var(--mark); outline-offset: -2px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .86rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
td.l { white-space: normal; min-width: 14rem; }
.n { text-align: right; }
thead th { position: sticky; top: 0; background: var(--raised); white-space: nowrap; z-index: 1; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
pre { background: var(--raised); padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; }
.grid { width: auto; }
.grid th { position: sticky; background: var(--raised); font-weight: 600; white-space: nowrap; }
.grid tbody th { left: 0; }
.grid thead th { text-align: center; z-index: 2; }
.grid thead tr + tr th { top: 2.1rem; }
.grid td { text-align: center; min-width: 2.2rem; border-left: 1px solid var(--line); }
.grid small { opacity: .85; }
{% for letter in letters.values() %}.{{ letter }} { background: var(--{{ letter }}); }
{% endfor %}
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1rem; }
.legend li { margin: 0; }
.legend b { display: inline-block; width: 1.6rem; text-align: center; border-radius: 3px; margin-right: .3rem; }
.paper { display: none; }
@media print { @page { margin: 12mm; } body { max-width: none; padding: 0; font-size: 10pt; }
  :root { color-scheme: light; } nav, .download, .screen { display: none; } .paper { display: block; }
  .scroll { max-height: none; overflow: visible; border: 0; } thead th, .grid th { position: static; }
  pre { white-space: pre-wrap; } table { font-size: 6pt; }
  td, thead th, td.l { white-space: normal; min-width: 0; padding: .1rem .2rem;
  overflow-wrap: break-word; } tbody tr:nth-child(n+31) { display: none; } .grid tbody tr { display: table-row; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .grid { font-size: 6pt; } .grid td, .grid th { padding: .1rem; min-width: 0; white-space: normal; }
  .grid td, .legend b { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p class="state"><a href="#grid">{{ state }}</a></p>
<nav>{% for name in sections %}<a href="#{{ name | lower }}">{{ name }}</a>
{% endfor %}</nav>
</header>
{% macro head(level, name, title) %}
<h{{ level }} id="{{ name }}"><a href="#{{ name }}">{{ title }}</a></h{{ level }}>
{% endmacro %}
{% macro listing(table) %}
{{ head(3, table.name, table.title) }}
<p class="soft">{{ table.caption }}
{% if table.rows | length < table.count %}<span class="screen">Shown are the first {{ table.rows | length }} of {{
table.count }} rows; the CSV has all.</span>{% endif %}
<a class="download" download="{{ table.name }}.csv" href="{{ table.source }}">CSV</a>
{% if table.count > 30 %}<span class="paper">Printed are the first 30 of {{ table.count }} rows.</span>{% endif %}</p>
<div class="scroll" tabindex="0" role="region" aria-label="{{ table.title }}"><table class="sortable">
<thead><tr>{% for column in table.columns
%}<th scope="col"{{ column.attributes }}><button type="button">{{ column.text }}</button>{% endfor %}</thead>
<tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td{{ cell.attributes }}>{{ cell.text }}{% endfor %}

{% endfor %}</tbody></table></div>
{% endmacro %}

{{ head(2, "answers", "Answers") }}
<p class="soft">{{ terms }}</p>
{% for heading, said in answers.items() if said %}
<h3>{{ heading }}</h3>
<ul>{% for of, words in said %}<li>{% if of %}<b>{{ of }}.</b> {% endif %}{{ words }}</li>{% endfor %}</ul>
{% endfor %}

{{ head(2, "figures", "Figures") }}
{% for figure in figures %}
<figure id="figure-{{ figure.name }}">
<img src="{{ figure.source }}" alt="{{ figure.title }}">
<figcaption><b>{{ figure.title }}.</b> {{ figure.caption }}</figcaption>
</figure>
{% endfor %}

{{ head(2, "tables", "Tables") }}
<p class="soft screen">A column's head sorts by it, once more the other way round.</p>
{% for table in tables %}{{ listing(table) }}{% endfor %}

{{ head(2, "grid", "Grid") }}
<div class="scroll" tabindex="0" role="region" aria-label="State of the grid"><table class="grid">
<thead>
<tr><th scope="col">{{ "size" if matrix.gpus else "model" }}</th>{% for size, width in matrix.sizes
%}<th scope="colgroup" colspan="{{ width }}">{{ size }}</th>{% endfor %}</tr>
{% if matrix.gpus %}<tr><th scope="col">gpus</th>{% for gpus in matrix.gpus
%}<th scope="col">{{ gpus }}</th>{% endfor %}</tr>{% endif %}
</thead>
<tbody>{% for model, cells in matrix.rows.items() %}
<tr><th scope="row">{{ model }}</th>{% for cell in cells %}{% if cell
%}<td class="{{ letters[cell.state] }}" title="{{ cell.state }}"><b>{{ letters[cell.state] }}</b>{% if cell.part
%} <small>{{ cell.part }}</small>{% endif %}</td>{% else %}<td></td>{% endif %}{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<ul class="legend soft">{% for state, number in matrix.states.items() %}
<li><b class="{{ letters[state] }}">{{ letters[state] }}</b>{{ state }}: {{ number }}</li>
{% endfor %}{% if matrix.states | length > 1 %}<li>k/n: of its n steps k are done</li>{% endif %}</ul>
{% if notes %}<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}

{{ head(2, "cost", "Cost") }}
{% for sentence in cost.sentences %}<p>{{ sentence }}</p>{% endfor %}
{% for table in cost.tables %}{{ listing(table) }}{% endfor %}

{{ head(2, "methods", "Methods") }}
{% for paragraph in methods %}<p>{{ paragraph }}</p>{% endfor %}

{{ head(2, "provenance", "Provenance") }}
<p>{{ provenance }}</p>
<p>{{ again }}</p>
<pre>{{ command }}</pre>

<script>
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;
  heads.forEach((head, i) => head.firstChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [value(row, i), row]);
    const order = new Intl.Collator(undefined, { numeric: true }).compare;
    rows.sort(([x], [y]) => !x || !y ? !x - !y : (up ? 1 : -1) * (x - y || order(x, y)));
    body.append(...rows.map(([, row]) => row));
  }));
}
</script>
</body>
</html>
"""


def render(**parts: object) -> str:
    """The page; parts are the template's."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE).render(letters=LETTERS, **parts)


def source(content: bytes, kind: str) -> str:
    """Content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def table(name: str, title: str, caption: str, data: pd.DataFrame) -> dict:
    """A table as the template wants it, with the whole of it to download."""
    return {
        "name": name,
        "title": title,
        "caption": caption,
        "columns": [_head(column, data[column]) for column in data],
        "rows": [list(map(_cell, data, row)) for row in data.head(SHOWN).itertuples(index=False)],
        "count": len(data),
        "source": source(data.to_csv(index=False).encode(), "text/csv;charset=utf-8"),
    }


def matrix(cells: Iterable[dict]) -> dict:
    """The grid's state as the template wants it: a row a model, a column a size and gpus value.

    Args:
        cells: of each `model`, `size`, `gpus`, its `state`, and how many of its steps are `done` in `total`.
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
    whole = cell["state"] in (DONE, NEW)
    return {"state": cell["state"], "part": "" if whole else f"{cell['done']}/{cell['total']}"}


def _head(column: object, values: pd.Series) -> dict:
    """A column's head, which stands over its numbers."""
    numbers = is_numeric_dtype(values) and not is_bool_dtype(values)
    return {"text": str(column).replace("_", " "), "attributes": Markup(" class=n" * numbers)}


def _cell(column: str, value: object) -> dict:
    """A value's text, and attributes that say how it is set and sorted."""
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
        whole = float(value).is_integer() or abs(value) >= 1000
        text = f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:.4g}"
        attributes = " class=n" + (f" data-v={value:.9g}" if text != f"{value:g}" else "")
    return {"text": text, "attributes": Markup(attributes)}
