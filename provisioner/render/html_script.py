"""What the page can do more where scripts run: find by text, and open or close all at once.

Nothing needs it to be read. It holds no character that XML would take for markup.
"""

from __future__ import annotations

from provisioner.render.html_markup import Markup

SCRIPT = Markup("""
(() => {
  const items = Array.from(document.querySelectorAll(".group li"));
  addEventListener("beforeprint", () => items.forEach((item) => { item.firstChild.open = true; }));
  if (!(items.length > 5)) return;
  const make = (name, text, parent) => {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  };
  const bar = document.createElement("div");
  bar.className = "find";
  const label = make("label", "Find ", bar);
  const box = make("input", "", label);
  box.type = "search";
  box.autocomplete = "off";
  box.spellcheck = false;
  const told = make("output", "", bar);
  const button = make("button", "", bar);
  button.type = "button";
  let texts = null;
  const chosen = () => {
    const radio = document.querySelector("input[name=show]:checked");
    const kind = radio ? radio.value : "all";
    return items.filter((item) => !item.hidden).filter((item) => kind === "all" || item.closest("." + kind));
  };
  const name = () => {
    button.textContent = chosen().every((item) => item.firstChild.open) ? "Close all" : "Open all";
  };
  const find = () => {
    texts = texts || items.map((item) => item.textContent.toLowerCase());
    const words = box.value.toLowerCase().trim();
    items.forEach((item, index) => { item.hidden = !texts[index].includes(words); });
    told.textContent = words ? chosen().length + " found" : "";
    name();
  };
  box.addEventListener("input", find);
  document.querySelectorAll("input[name=show]").forEach((radio) => radio.addEventListener("change", find));
  button.addEventListener("click", () => {
    const open = button.textContent === "Open all";
    chosen().forEach((item) => { item.firstChild.open = open; });
    name();
  });
  const first = document.querySelector(".group");
  first.parentNode.addEventListener("toggle", name, true);
  name();
  first.before(bar);
})();
""")
