// Keeps the logs page up to date: asks for its changing part every two seconds and adds what is new.
// Pauses while the tab is hidden or text is selected, and never closes a line that somebody has opened.
"use strict";

const EVERY_MS = 2000;
const MOST_ROWS = 300;
const button = document.querySelector("button.live");

const word = (text) => { button.querySelector(".word").textContent = text; };
const running = () => button.getAttribute("aria-pressed") === "true";
const busy = () => document.hidden || !getSelection().isCollapsed;

async function refresh() {
  const response = await fetch(button.dataset.source, { credentials: "same-origin", redirect: "error" });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  merge(page.getElementById("results"));
}

function merge(fresh) {
  const shown = document.getElementById("results");
  const lines = shown.querySelector(".lines");
  const arriving = fresh.querySelector(".lines");
  if (!lines || !arriving) {
    shown.replaceWith(fresh);
    return;
  }
  for (const part of [".levels", ".over-time"]) shown.querySelector(part)?.replaceWith(fresh.querySelector(part));
  const known = new Set([...lines.querySelectorAll(".line")].map((line) => line.dataset.id));
  const rows = [...arriving.children].filter((row) => !known.has(row.firstElementChild.dataset.id));
  for (const row of rows) row.firstElementChild.classList.add("new");
  for (const row of rows.reverse()) insert(lines, row);
  while (lines.children.length > MOST_ROWS) lines.lastElementChild.remove();
}

// Ids sort by time, so a line that arrives late finds its place by comparing them.
function insert(lines, row) {
  const id = row.firstElementChild.dataset.id;
  const after = [...lines.children].find((other) => other.firstElementChild.dataset.id < id);
  lines.insertBefore(row, after ?? null);
}

async function turn() {
  if (running() && !busy()) {
    try {
      await refresh();
      word("Live");
    } catch {
      word("No answer, trying again");
    }
  }
  setTimeout(turn, EVERY_MS);
}

if (button) {
  button.hidden = false;
  button.setAttribute("aria-pressed", "true");
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!running()));
    word(running() ? "Live" : "Paused");
  });
  setTimeout(turn, EVERY_MS);
}
