// Elements. Text is always set as text: names, zone files and errors are strangers' input and never become markup.

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; a child is an element or a text, and what is empty is left out. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** The rows of a definition list, of those that have something to say. */
export function rows(entries) {
  return entries
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([label, value, kind]) => el("div", {}, el("dt", {}, label), el("dd", kind ? { class: kind } : {}, value)));
}

const shown = new WeakMap();

/** Replaces what an element holds, unless it would be the same: a selection or the focus in it stays. */
export function fill(element, key, make) {
  const text = JSON.stringify(key);
  if (shown.get(element) === text) return;
  shown.set(element, text);
  element.replaceChildren(...make());
}
