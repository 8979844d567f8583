// The theme of the page around this one, or the one that Airflow has stored; each reader's local time on hover; the
// values of a chart at the pointer; and tables that can be sorted.
(() => {
  "use strict";
  const root = document.documentElement;
  const isFile = root.hasAttribute("data-file");

  function named(value) {
    return value === "dark" || value === "light" ? value : null;
  }

  function around() {
    try {
      if (window.parent === window) return null;
      const classes = window.parent.document.documentElement.classList;
      return classes.contains("dark") ? "dark" : classes.contains("light") ? "light" : null;
    } catch {
      return null;
    }
  }

  function stored() {
    try {
      return named(window.localStorage.getItem("theme"));
    } catch {
      return null;
    }
  }

  function apply() {
    const theme = isFile ? null : around() ?? stored();
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  function watch() {
    window.addEventListener("storage", apply);
    try {
      if (window.parent === window) return;
      const changed = { attributes: true, attributeFilter: ["class"] };
      new MutationObserver(apply).observe(window.parent.document.documentElement, changed);
    } catch {
      // another origin around this page: it follows the reader's system
    }
  }

  function localTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.title = `${new Date(time.dateTime).toLocaleString(undefined, { timeZoneName: "short" })}, your time`;
    }
  }

  // The frame's sandbox forbids leaving it from inside; the page around follows a link of its own.
  function leave(event) {
    const link = event.target.closest("a[data-airflow]");
    if (!link || window.parent === window || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const outside = window.parent.document.createElement("a");
    outside.href = link.href;
    window.parent.document.body.append(outside);
    outside.click();
    outside.remove();
  }

  function measured(text) {
    const plain = text.trim().replace(/\u2212/g, "-").replace(/,/g, "");
    return /^[+-]?[\d.]/.test(plain) && !/^\d{4}-\d\d-\d\d/.test(plain) ? parseFloat(plain) : NaN;
  }

  function placed(text) {
    return /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number(text);
  }

  // The rows of the table under a chart, by their place on its axis; they are read once somebody looks.
  function rowsOf(table) {
    const rows = Array.from(table.tBodies[0].rows, (row) => Array.from(row.cells, (cell) => cell.textContent));
    return rows.map((cells) => ({ at: placed(cells[0]), cells })).sort((one, other) => one.at - other.at);
  }

  // Shows the values at the pointer, or at the place that the arrow keys have reached.
  function readable(svg, table) {
    const names = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent);
    const [from, to] = [placed(svg.dataset.from), placed(svg.dataset.to)];
    const [box, line, tip] = [svg.parentElement, document.createElement("div"), document.createElement("div")];
    let [rows, shown] = [null, -1];
    line.className = "pointed";
    tip.className = "values";
    tip.setAttribute("role", "status");
    line.hidden = tip.hidden = true;
    box.append(line, tip);
    svg.setAttribute("tabindex", "0");

    function edges() {
      const left = box.getBoundingClientRect().left;
      const ends = svg.querySelectorAll(".span_marks line");
      const places = Array.from(ends, (end) => end.getBoundingClientRect().left - left);
      return [Math.min(...places), Math.max(...places)];
    }

    function show(index) {
      rows ??= rowsOf(table);
      const [first, last] = edges();
      const row = rows[Math.min(Math.max(index, 0), rows.length - 1)];
      shown = rows.indexOf(row);
      const x = to > from ? first + ((row.at - from) / (to - from)) * (last - first) : first;
      line.style.left = `${x}px`;
      const head = document.createElement("strong");
      head.textContent = `${names[0]} ${row.cells[0]}`;
      tip.replaceChildren(head, ...row.cells.slice(1).map((cell, place) => {
        const entry = document.createElement("span");
        entry.textContent = `${names[place + 1]}: ${cell}`;
        return entry;
      }));
      const isLate = x > box.clientWidth / 2;
      tip.style.left = isLate ? "auto" : `${x + 10}px`;
      tip.style.right = isLate ? `${box.clientWidth - x + 10}px` : "auto";
      line.hidden = tip.hidden = false;
    }

    function hide() {
      line.hidden = tip.hidden = true;
    }

    function point(event) {
      rows ??= rowsOf(table);
      const [first, last] = edges();
      const x = event.clientX - box.getBoundingClientRect().left;
      const at = from + ((x - first) / (last - first || 1)) * (to - from);
      const distances = rows.map((row) => Math.abs(row.at - at));
      show(distances.indexOf(Math.min(...distances)));
    }

    function press(event) {
      const steps = { ArrowLeft: shown - 1, ArrowRight: shown + 1, Home: 0, End: Infinity };
      if (event.key === "Escape") hide();
      if (!(event.key in steps)) return;
      event.preventDefault();
      show(steps[event.key]);
    }

    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("focus", () => svg.matches(":focus-visible") && show(shown < 0 ? Infinity : shown));
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", press);
  }

  function readableCharts() {
    for (const svg of document.querySelectorAll("svg[data-from]")) {
      const table = svg.closest("figure")?.querySelector("table");
      if (table) readable(svg, table);
    }
  }

  function compare(one, other) {
    const [first, second] = [measured(one), measured(other)];
    if (!Number.isNaN(first) && !Number.isNaN(second)) return first - second;
    return Number.isNaN(first) - Number.isNaN(second) || one.localeCompare(other);
  }

  function sort(head, column) {
    const isDescending = head.getAttribute("aria-sort") === "ascending";
    const body = head.closest("table").tBodies[0];
    const ordered = Array.from(body.rows).sort((one, other) =>
      (isDescending ? -1 : 1) * compare(one.cells[column].textContent, other.cells[column].textContent));
    for (const cell of head.parentElement.cells) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    body.append(...ordered);
  }

  function sortableTables() {
    for (const head of document.querySelectorAll("table.sortable thead th")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(head, head.cellIndex));
      head.append(button);
    }
  }

  if (!isFile) {
    document.addEventListener("click", leave);
    apply();
    watch();
  }
  document.addEventListener("DOMContentLoaded", () => {
    localTimes();
    readableCharts();
    sortableTables();
  });
})();
