// Sorting of tables by their headings.
function makeSortable(table) {
  const headings = all("thead th", table);
  const bodies = [...table.tBodies].map((body) => ({ body, rows: all("tr:not(.heading)", body) }));
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const numeric = heading.classList.contains("number");
      const next = nextOrder(heading.getAttribute("aria-sort"), numeric);
      headings.forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", next);
      for (const { body, rows } of bodies) body.append(...sorted(rows, column, next, numeric));
    });
  });
}

// scores are looked at from the best, names from A; the third time brings the first order back
function nextOrder(order, numeric) {
  const [first, second] = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
  return { none: first, [first]: second, [second]: "none" }[order];
}

function sorted(rows, column, order, numeric) {
  if (order === "none") return rows;
  const key = (row) => (numeric ? row.cells[column].dataset.value : row.cells[column].textContent.trim());
  const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
  const sign = order === "ascending" ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    // what is missing stays last in both directions
    return x === "" || y === "" ? (x === "") - (y === "") : sign * compare(x, y);
  });
}

