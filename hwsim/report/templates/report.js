"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => head.querySelector("button.sort").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending";
    const numbers = head.classList.contains("number");
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.sort;
    const order = (a, b) => {
      if (!numbers) return key(b).localeCompare(key(a));
      const [x, y] = [key(a), key(b)].map((text) => (text === "" ? -Infinity : Number(text)));
      return y === x ? 0 : y > x ? 1 : -1;
    };
    const rows = Array.from(body.rows).sort(order);
    body.append(...(up ? rows.reverse() : rows));
  }));
}
for (const field of document.querySelectorAll("input.filter")) {
  const rows = Array.from(document.getElementById(field.dataset.table).tBodies[0].rows);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "copied";
  });
}
