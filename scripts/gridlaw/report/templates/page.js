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
