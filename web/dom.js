// Making and updating elements. Text is only ever set as text.

/** h("a", { href: "#/" }, "text", child): attributes are set as they are named; false, null and undefined leave one out. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  setAttributes(node, attributes);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(node, attributes);
  node.append(...children);
  return node;
}

function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
}

export function setAttribute(node, name, value) {
  if (value === false || value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show items in order, one child each; a child stays the same element as long as its key is there, so focus stays too. */
export function keyed(parent, items, keyOf, create, update) {
  parent.keyedChildren ??= new Map();
  const kept = parent.keyedChildren;
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let node = kept.get(key);
    if (!node) {
      node = create(item);
      kept.set(key, node);
    }
    if (update) update(node, item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of kept) {
    if (!seen.has(key)) {
      node.remove();
      kept.delete(key);
    }
  }
}

/** A plain table from rows of text; `numeric` names the columns that are flush right. */
export function table(header, rows, caption) {
  const cell = (text, index, tag) =>
    h(tag, { scope: tag === "th" ? (index === 0 ? "row" : false) : false, class: index > 0 ? "num" : false }, String(text));
  return h(
    "table",
    { class: "table table-sm" },
    h("caption", { class: "visually-hidden" }, caption),
    h("thead", {}, h("tr", {}, ...header.map((text, i) => h("th", { scope: "col", class: i > 0 ? "num" : false }, text)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((text, i) => cell(text, i, i === 0 ? "th" : "td"))))),
  );
}

/** The table behind a chart: made when it is opened, and kept up to date only then. */
export function tableBehind(details, make) {
  details.makeTable = make;
  if (!details.dataset.ready) {
    details.dataset.ready = "1";
    details.append(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": details.textContent.trim() }));
    details.addEventListener("toggle", () => details.open && refill(details));
  }
  if (details.open) refill(details);
}

function refill(details) {
  const box = details.lastElementChild;
  const top = box.scrollTop;
  box.replaceChildren(details.makeTable());
  box.scrollTop = top;
}

export function legend(list, entries) {
  keyed(
    list,
    entries,
    (entry) => entry.label,
    (entry) => h("li", {}, h("span", { class: `swatch ${entry.swatch}`, "aria-hidden": "true" }), entry.label),
  );
}

/** A card in place of what is not to be had, with the sentence that the server says about it. */
export const refused = (title, ...words) => h("div", { class: "card-box" }, h("h2", {}, title), h("p", {}, ...words));

/** Words over an empty chart, which say why it is empty; no words, nothing over it. */
export function overlay(plot, words) {
  let node = plot.querySelector(".overlay");
  if (!node) {
    node = h("p", { class: "overlay" });
    plot.append(node);
  }
  setText(node, words);
  node.hidden = !words;
}

/** A method's name in its colour; drawn again, because the registry may come later than the chip, or change. */
export function drawChip(node, registry, method, more = "") {
  setAttribute(node, "class", `chip ${registry.colourName(method)}${more && ` ${more}`}`);
  setAttribute(node, "title", registry.summary(method) || null);
  setText(node, method);
  return node;
}
