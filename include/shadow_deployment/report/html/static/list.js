// The list of deployments: searched, filtered and sorted where it is, and remembered in the address behind the #.
(() => {
  "use strict";
  const KEYS = ["search", "state", "owner", "sort"];

  function begin() {
    const table = document.getElementById("deployments");
    const form = document.getElementById("filters");
    if (!table || !form) return;
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows].map((row) => ({
      row,
      place: Number(row.dataset.place),
      text: row.textContent.toLowerCase(),
      values: [...row.cells].map((cell) => cell.dataset.value),
    }));
    const hits = document.getElementById("hits");
    const untouched = hits.innerHTML;
    const fields = form.elements;
    let sort = { key: "urgency", falls: false };

    function compared(a, b) {
      const column = heads.findIndex((head) => head.dataset.key === sort.key);
      const [x, y] = [a.values[column], b.values[column]];
      if (!x !== !y) return x ? -1 : 1; // what is not known comes last in both directions
      const numeric = sort.key === "urgency" || sort.key === "days";
      const order = numeric ? x - y : x.localeCompare(y, undefined, { numeric: true });
      return (sort.falls ? -order : order) || a.place - b.place;
    }

    function matches(one) {
      const words = fields.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const { state, owner } = one.row.dataset;
      return (
        (!fields.state.value || fields.state.value === state) &&
        (!fields.owner.value || fields.owner.value === owner) &&
        words.every((word) => one.text.includes(word))
      );
    }

    function show() {
      rows.sort(compared);
      let count = 0;
      for (const one of rows) {
        const found = matches(one);
        one.row.hidden = !found;
        count += found;
        table.tBodies[0].append(one.row);
      }
      for (const head of heads) {
        const order = sort.falls ? "descending" : "ascending";
        head.setAttribute("aria-sort", head.dataset.key === sort.key ? order : "none");
      }
      fields.sort.value = sort.key;
      if (count === rows.length) hits.innerHTML = untouched;
      else hits.textContent = `${count} of ${hits.dataset.all}`;
    }

    function remember() {
      const kept = KEYS.map((key) => [key, fields[key].value]).filter(([key, value]) => value && value !== "urgency");
      if (sort.falls) kept.push(["falls", "1"]);
      const hash = new URLSearchParams(kept).toString();
      window.history.replaceState(null, "", hash ? `#${hash}` : "#");
    }

    function recall() {
      const kept = new URLSearchParams(window.location.hash.slice(1));
      for (const key of KEYS) if (kept.has(key)) fields[key].value = kept.get(key);
      for (const key of ["state", "owner", "sort"]) if (fields[key].selectedIndex < 0) fields[key].selectedIndex = 0;
      sort = { key: fields.sort.value, falls: kept.has("falls") };
    }

    function sortBy(key, falls) {
      sort = { key, falls };
      show();
      remember();
    }

    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      const { key } = head.dataset;
      const first = key === "day" || key === "days"; // the newest and the most first
      button.addEventListener("click", () => sortBy(key, sort.key === key ? !sort.falls : first));
    }
    form.addEventListener("input", (event) => {
      if (event.target === fields.sort) sortBy(fields.sort.value, false);
      else {
        show();
        remember();
      }
    });
    form.addEventListener("reset", () => window.setTimeout(() => sortBy("urgency", false)));
    form.addEventListener("submit", (event) => event.preventDefault());
    recall();
    form.hidden = false;
    show();
  }

  document.addEventListener("DOMContentLoaded", begin);
})();
