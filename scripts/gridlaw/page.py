"""The page of the report: one file that needs nothing else, for any screen, in light and dark, and for print."""

from __future__ import annotations

import base64

import jinja2
import pandas as pd

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --text: #1d1f23; --soft: #5b616b; --line: #d9dce1; --back: #fff; --raised: #f5f6f8;
  --mark: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --soft: #a2a9b4; --line: #3a3f47; --back: #16181c;
  --raised: #1f2227; --mark: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, li { max-width: 48rem; }
a { color: var(--mark); }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
nav a { margin-right: .9rem; white-space: nowrap; }
ul.answers { padding-left: 1.2rem; }
ul.answers li { margin: .4rem 0; }
figure { margin: 1.2rem 0 2rem; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: .5rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; max-height: 32rem; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 20rem; }
td.number { text-align: right; }
th { position: sticky; top: 0; background: var(--raised); cursor: pointer; white-space: nowrap; user-select: none; }
th[aria-sort=ascending]::after { content: " \\2191"; }
th[aria-sort=descending]::after { content: " \\2193"; }
th:focus-visible { outline: 2px solid var(--mark); }
pre { background: var(--raised); padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; }
.grid td { text-align: center; }
@media print { body { max-width: none; font-size: 10pt; } nav, .download { display: none; } .scroll { max-height: none;
  overflow: visible; border: 0; } figure, tr { break-inside: avoid; } }
</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p class="soft">{{ state }}</p>
<nav>{% for name in sections %}<a href="#{{ name | lower | replace(' ', '-') }}">{{ name }}</a>{% endfor %}</nav>
</header>

<h2 id="answers">Answers</h2>
{% for heading, sentences in answers.items() if sentences %}
<h3>{{ heading }}</h3>
<ul class="answers">{% for sentence in sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% endfor %}

<h2 id="figures">Figures</h2>
{% for figure in figures %}
<figure>
<img src="{{ figure.source }}" alt="{{ figure.title }}">
<figcaption><b>{{ figure.title }}.</b> {{ figure.caption }}</figcaption>
</figure>
{% endfor %}

<h2 id="tables">Tables</h2>
<p class="soft">A click on a column's head sorts by it.</p>
{% for table in tables %}
<h3>{{ table.title }}</h3>
<p class="soft">{{ table.caption }}
<a class="download" download="{{ table.name }}.csv" href="{{ table.source }}">CSV</a></p>
<div class="scroll"><table class="sortable">
<thead><tr>{% for column in table.columns %}<th scope="col" tabindex="0">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}<tr>{% for cell in row %}<td{% if cell.number is not none %} class="number"
 data-value="{{ cell.number }}"{% elif cell.text | length > 40 %} class="long"{% endif
 %}>{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}

<h2 id="grid">Grid</h2>
<p>{{ cost }}</p>
<div class="scroll"><table class="grid">
<thead><tr><th scope="col">model</th>
{% for column in grid.columns %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>{% for model, cells in grid.rows.items() %}
<tr><td>{{ model }}</td>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<p class="soft">Pre-training runs of each cell that are done, of those that the grid has; a column is a size and a
number of gpus.</p>

<h2 id="methods">Methods</h2>
{% for paragraph in methods %}<p>{{ paragraph }}</p>{% endfor %}

<h2 id="provenance">Provenance</h2>
<p>{{ provenance }}</p>
<p>In the folder of the grid, with its configuration files, this makes the report again:</p>
<pre>{{ command }}</pre>

<script>
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent;
  heads.forEach((head, i) => {
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a, i), value(b, i)];
        if (!x || !y) return !x - !y;
        return (up ? 1 : -1) * (x - y || String(x).localeCompare(y, undefined, { numeric: true }));
      });
      body.append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
</script>
</body>
</html>
"""


def render(**parts: object) -> str:
    """The page; parts are the template's."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE).render(**parts)


def source(content: bytes, kind: str) -> str:
    """Content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def table(name: str, title: str, caption: str, data: pd.DataFrame) -> dict:
    """A table as the template wants it, with the whole of it to download."""
    csv = data.to_csv(index=False).encode()
    rows = [[_cell(value) for value in row] for row in data.itertuples(index=False)]
    return {
        "name": name,
        "title": title,
        "caption": caption,
        "columns": [str(column).replace("_", " ") for column in data],
        "rows": rows,
        "source": source(csv, "text/csv"),
    }


def _cell(value: object) -> dict:
    if value is None or (isinstance(value, float) and value != value):
        return {"number": None, "text": ""}
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return {"number": None, "text": str(value)}
    whole = float(value).is_integer() and abs(value) < 1e15
    return {"number": value, "text": f"{value:,.0f}" if whole else f"{value:.4g}"}
