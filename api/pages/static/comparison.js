"use strict";
// Answers come into the page as they are written, and a choice is kept without loading the page again. The server renders both.
const place = document.querySelector(".comparison");

function take(html, ids) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const id of ["tally", ...ids]) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    if (!old || !now) continue;
    const focused = old.contains(document.activeElement) && [...old.querySelectorAll("button")].indexOf(document.activeElement);
    old.replaceWith(now);
    if (focused !== false) now.querySelectorAll("button")[Math.max(focused, 0)]?.focus({ preventScroll: true });
  }
}

const openPairs = () => [...document.querySelectorAll(".pair[data-open]")];

async function refresh() {
  refresh.timer = null;
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(20000) });
    if (!answer.ok) throw new Error();
    take(await answer.text(), openPairs().map((pair) => pair.id));
  } catch {
    tell("The answers could not be loaded. This page tries again by itself.");
    refresh.timer = setTimeout(refresh, 3000);
  }
}

place.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const body = new URLSearchParams(new FormData(form, event.submitter));
  try {
    const answer = await fetch(form.action, { method: "POST", body });
    if (answer.status === 401) return tell("Your session has ended. Reload this page to log in again.");
    const html = await answer.text();
    if (answer.ok) take(html, [form.closest(".pair").id]);
    tell(answer.ok ? "" : new DOMParser().parseFromString(html, "text/html").querySelector("main p").textContent);
  } catch {
    tell("The connection to captionq is lost. Try again.");
  }
});

function showState({ is_open: isOpen }, end) {
  refresh.timer ??= setTimeout(refresh, 700);
  if (!isOpen) end();
}

function showTexts(texts) {
  for (const [id, text] of Object.entries(texts)) {
    const growing = document.getElementById(id)?.querySelector(".growing");
    if (growing && text) growing.textContent = text;
  }
}

if (place.dataset.live) {
  followEvents(place.dataset.live, { state: showState, texts: showTexts });
  // An event may be lost. The page looks by itself, too, until it has all answers.
  setInterval(() => openPairs().length && refresh(), 5000);
}
