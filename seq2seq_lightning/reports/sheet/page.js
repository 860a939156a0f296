"use strict";
// Sorts and filters the tables, and chooses which outputs stand side by side. Without it the page shows everything.

const number = (words) => {
  const found = words.replaceAll(",", "").match(/^[+\-−]?\d+(\.\d+)?(e[+\-]?\d+)?/i);
  return found ? parseFloat(found[0].replace("−", "-")) : NaN;
};
const wordsOf = (row, column) => row.cells[column].textContent.trim();
const isEmpty = (words) => words === "" || words.startsWith("–");

function compare(one, other, numeric) {
  if (isEmpty(one) || isEmpty(other)) return null;
  return numeric ? number(one) - number(other) : one.localeCompare(other, undefined, { numeric: true });
}

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const words = rows.map((row) => wordsOf(row, column)).filter((each) => !isEmpty(each));
  const numeric = words.every((each) => !Number.isNaN(number(each)));
  rows.sort((one, other) => {
    const [a, b] = [wordsOf(one, column), wordsOf(other, column)];
    const difference = compare(a, b, numeric);
    if (difference === null) return Number(isEmpty(a)) - Number(isEmpty(b)); // what is empty stands last, either way
    return descending ? -difference : difference;
  });
  body.append(...rows);
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.setAttribute("aria-sort", place !== column ? "none" : descending ? "descending" : "ascending");
  });
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, column, head.getAttribute("aria-sort") === "ascending"));
  });
}

function makeFilterable(holder, table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 4) return;
  const bar = document.createElement("div");
  bar.className = "bar";
  const label = document.createElement("label");
  const input = document.createElement("input");
  const told = document.createElement("output");
  input.type = "search";
  input.setAttribute("aria-controls", table.id);
  label.append("Filter ", input);
  bar.append(label, told);
  holder.prepend(bar);
  const tell = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const words = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !wanted.every((each) => words.includes(each));
      shown += Number(!row.hidden);
    }
    told.textContent = wanted.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
  };
  input.addEventListener("input", tell);
  tell();
}

function alignNumbers(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const words = [...table.tBodies[0].rows].map((row) => wordsOf(row, column)).filter((each) => !isEmpty(each));
    if (!words.length || words.some((each) => !/^[+\-−]?\d[\d.,]*(e[+\-]?\d+)?( |$)/i.test(each))) return;
    for (const row of [table.tHead.rows[0], ...table.tBodies[0].rows]) row.cells[column].classList.add("number");
  });
}

function makeChoosable(holder, table, fixed) {
  const heads = [...table.tHead.rows[0].cells].slice(fixed);
  if (heads.length < 3) return;
  const bar = document.createElement("div");
  bar.className = "bar";
  const selects = ["Left", "Right"].map((name, side) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    heads.forEach((head, place) => select.add(new Option(head.textContent, String(place), place === side, place === side)));
    label.append(name, " ", select);
    bar.append(label);
    return select;
  });
  holder.prepend(bar);
  const show = () => {
    const chosen = selects.map((select) => fixed + Number(select.value));
    for (const row of table.rows) {
      [...row.cells].forEach((cell, place) => (cell.hidden = place >= fixed && !chosen.includes(place)));
    }
  };
  for (const select of selects) select.addEventListener("change", show);
  show();
}

for (const holder of document.querySelectorAll("[data-table]")) {
  const table = holder.querySelector("table");
  if ("choose" in holder.dataset) {
    makeChoosable(holder, table, Number(holder.dataset.choose));
    continue;
  }
  alignNumbers(table);
  if (!("tools" in holder.dataset)) continue;
  makeSortable(table);
  makeFilterable(holder, table);
}
