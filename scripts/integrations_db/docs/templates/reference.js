"use strict";
(() => {
  const root = document.documentElement;
  const kept = (value) => {  // a file opened from disk may have no storage
    try {
      return value === undefined ? localStorage.getItem("theme") : localStorage.setItem("theme", value);
    } catch { return null; }
  };
  const button = document.getElementById("theme");
  const order = ["auto", "light", "dark"];
  const show = (theme) => {
    if (theme === "auto") { root.removeAttribute("data-theme"); } else { root.dataset.theme = theme; }
    button.textContent = "Theme: " + theme;
  };
  let theme = order.includes(kept()) ? kept() : "auto";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    kept(theme);
    show(theme);
  });

  const menu = document.getElementById("menu");
  const wide = matchMedia("(min-width: 60rem)");
  const fold = () => { menu.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  menu.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) { menu.open = false; }
  });

  const filter = document.getElementById("filter");
  filter.hidden = false;
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of menu.querySelectorAll("li")) {
      const text = item.dataset.words;
      item.hidden = !words.every((word) => text.includes(word));
    }
    for (const group of menu.querySelectorAll(".group")) {
      group.hidden = words.length > 0 && !group.querySelector("li:not([hidden])");
    }
  });
})();
