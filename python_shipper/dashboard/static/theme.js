// Puts the chosen theme on before the page is painted; loaded in the head, so without `defer`.
"use strict";

const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
const wanted = () => chosen() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

if (chosen()) document.documentElement.dataset.theme = chosen();

document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("button.theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = wanted() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("theme", theme); } catch { /* the choice then lasts for this page only */ }
  });
});
