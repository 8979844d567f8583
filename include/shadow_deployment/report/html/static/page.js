// The theme of the page around this one, or the one that Airflow has stored; and each reader's local time on hover.
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

  if (!isFile) {
    document.addEventListener("click", leave);
    apply();
    watch();
  }
  document.addEventListener("DOMContentLoaded", localTimes);
})();
