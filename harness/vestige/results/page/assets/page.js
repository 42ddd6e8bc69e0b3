const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const make = (tag, text, more = {}) => Object.assign(document.createElement(tag), text === undefined ? {} : { textContent: text }, more);

// -- light and dark ---------------------------------------------------------------------------------------------------
const root = document.documentElement;
const wantsDark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
function paint() {
  const dark = chosen ?? wantsDark.matches;
  root.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-pressed", String(dark));
  byId("theme").setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
  draw();
}
byId("theme").addEventListener("click", () => { chosen = root.dataset.theme !== "dark"; paint(); });
wantsDark.addEventListener("change", paint);

// -- the table ----------------------------------------------------------------------------------------------------------
const table = byId("table");
// What has no value stands last, whichever way a column is sorted.
const last = (a, b) => (a === null || b === null ? (a === null) - (b === null) : null);
DataTable.type("value", {
  className: "dt-type-numeric",
  order: { pre: (text) => (text === "" ? null : Number(text)), asc: (a, b) => last(a, b) ?? a - b, desc: (a, b) => last(a, b) ?? b - a },
});
const board = new DataTable(table, {
  paging: false, info: false, searching: true, autoWidth: false, order: [], layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
  columnDefs: [{ targets: "_all", type: "value", className: "", orderSequence: ["desc", "asc", ""] }, { targets: 0, type: "string", orderSequence: ["asc", "desc"] }],
});
const competes = (row) => row.classList.contains("competes");
function apart() {
  const rows = [...table.tBodies[0].rows].filter((row) => row.dataset.label !== undefined);
  for (const row of rows.filter((row) => !competes(row))) table.tBodies[0].append(row);
  rows.forEach((row) => row.classList.remove("first-control"));
  rows.find((row) => !competes(row))?.classList.add("first-control");
  const shown = rows.length;
  byId("filtered").textContent = shown === data.rows.length ? "" : `${shown} of ${data.rows.length} rows`;
}
board.on("draw", apart);
function choose(group) {
  data.columns.forEach((column, index) => board.column(index + 1).visible(group === "all" || column.group === Number(group), false));
  board.columns.adjust();
  document.querySelectorAll(".meanings dl > div").forEach((entry) => { entry.hidden = group !== "all" && !entry.classList.contains(`g-${group}`); });
}
document.querySelectorAll("input[name=group]").forEach((input) => input.addEventListener("change", () => choose(input.value)));
const withControls = byId("controls");
board.search.fixed("rows", (text, columns, index) => {
  const row = board.row(index).node();
  const wanted = byId("filter").value.trim().toLowerCase();
  return (withControls.checked || competes(row)) && row.dataset.label.toLowerCase().includes(wanted);
});
byId("filter").addEventListener("input", () => board.draw());
withControls.addEventListener("change", () => board.draw());
choose("0");
board.draw();

// -- what a column means: shown beside its button, by mouse and by keyboard ---------------------------------------------
const tip = document.body.appendChild(make("div", "", { className: "tip", id: "tip", role: "tooltip" }));
function explain(event) {
  const head = event.target.closest?.("th[data-column]");
  const column = head && data.columns[Number(head.dataset.column)];
  tip.classList.toggle("shown", Boolean(column?.meaning));
  if (!column?.meaning) return;
  tip.textContent = `${column.meaning} (${column.better})`;
  const at = head.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - 340))}px`;
  tip.style.top = `${at.bottom + 6}px`;
  (head.querySelector("[tabindex], button") ?? head).setAttribute("aria-describedby", "tip");
}
for (const event of ["mouseover", "focusin"]) table.tHead.addEventListener(event, explain);
for (const event of ["mouseleave", "focusout"]) table.tHead.addEventListener(event, () => tip.classList.remove("shown"));
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.classList.remove("shown"); });
addEventListener("scroll", () => tip.classList.remove("shown"), true);

// -- records ------------------------------------------------------------------------------------------------------------
const number = (value, unit) => (value === null ? "—" : `${+value.toPrecision(4)}${unit ? ` ${unit}` : ""}`);
function measured(cells, asked) {
  const names = [...new Set(cells.flatMap((cell) => cell.measurements.map((m) => m[0])))];
  if (asked) names.sort((a, b) => (b === asked) - (a === asked));
  const out = make("table");
  const head = out.createTHead().insertRow();
  for (const text of ["measurement", ...cells.map((cell) => `seed ${cell.seed}`), "notes"]) head.append(make("th", text, { scope: "col" }));
  const body = out.createTBody();
  for (const name of names) {
    const line = body.insertRow();
    if (name === asked) line.className = "asked";
    line.append(make("th", name, { scope: "row" }));
    const notes = new Set();
    for (const cell of cells) {
      const found = cell.measurements.find((m) => m[0] === name);
      const interval = found && found[2] !== null ? ` [${number(found[2])}, ${number(found[3])}]` : "";
      const place = make("td", found ? number(found[1], found[4]) : "");
      if (interval) place.append(make("small", interval));
      line.append(place);
      if (found?.[5]) notes.add(found[5]);
    }
    line.append(make("td", [...notes].join("; ")));
  }
  return out;
}
function open(label, asked) {
  const cells = data.records[label];
  const body = byId("record-body");
  body.replaceChildren();
  byId("record-title").textContent = label;
  for (const cell of cells.filter((cell) => cell.status !== "ok")) body.append(make("p", `Seed ${cell.seed}: ${cell.status}: ${cell.message}`));
  const more = (title, value, opened = false) => {
    const details = make("details", undefined, { open: opened });
    details.append(make("summary", title), make("pre", JSON.stringify(value, null, 2)));
    body.append(details);
  };
  body.append(make("h3", "Measurements, seed by seed"), measured(cells, asked), make("h3", "How it was made"));
  for (const cell of cells) {
    more(`Seed ${cell.seed}: method, recommender, dataset`, { ...cell.plugins, request: cell.request, holdout: cell.holdout });
    more(`Seed ${cell.seed}: notes`, cell.notes);
    more(`Seed ${cell.seed}: machine, versions, keys`, { ...cell.provenance, keys: cell.keys });
  }
  byId("record").showModal();
  body.scrollTop = 0;
}
table.addEventListener("click", (event) => {
  const button = event.target.closest("button.open");
  if (button) open(button.dataset.row, button.dataset.name);
});

// -- plots --------------------------------------------------------------------------------------------------------------
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
function config() {
  const ink = colour("--ink"), line = colour("--line");
  return {
    background: "transparent", font: "system-ui, sans-serif", view: { stroke: line },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 600 },
    legend: { labelColor: ink, titleColor: ink, orient: innerWidth < 720 ? "bottom" : "right", columns: 1, labelFontSize: 12 },
  };
}
async function plot(id, spec) {
  const place = byId(id);
  if (!place || !spec) return;
  await vegaEmbed(place, { ...spec, width: place.clientWidth, autosize: { type: "fit-x", contains: "padding" }, config: config() }, { actions: false, renderer: "svg" });
  place.dataset.drawn = "yes";
}
function usersPlot() {
  if (!byId("chart-users")) return;
  const method = byId("users-method").value, value = byId("users-value").value;
  const found = data.users[value];
  const rows = [...new Set([...data.references, method])].filter((name) => found.rows[name]);
  const values = rows.flatMap((row) => found.rows[row].map((v, i, all) => ({ row, value: v, share: i / (all.length - 1) })));
  const spec = structuredClone(data.charts.users[method]);
  spec.encoding.x.title = found.title;
  spec.data = { values };
  return plot("chart-users", spec);
}
function forgettingPlot() {
  if (byId("way")) plot("chart-forgetting", data.charts.forgetting[byId("way").value]);
}
byId("way")?.addEventListener("change", forgettingPlot);
function draw() {
  for (const name of ["recovery", "cost"]) plot(`chart-${name}`, data.charts[name]);
  forgettingPlot();
  usersPlot();
}
for (const id of ["users-method", "users-value"]) byId(id)?.addEventListener("change", usersPlot);
let resizing;
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's bars come and go
  width = innerWidth;
  clearTimeout(resizing);
  resizing = setTimeout(draw, 150);
});
paint();
