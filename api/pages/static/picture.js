"use strict";
// The keys of a picture's page, and the end of a caption that is being written. Without this script the buttons remain.
const article = document.querySelector(".picture");
const notice = document.getElementById("notice");
const form = (id) => document.getElementById(id);
const press = (selector) => document.querySelector(selector)?.click();

function focusText(id) {
  const text = form(id);
  if (!text) return;
  const details = text.closest("details");
  if (details) details.open = true;
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
}

const keys = {
  e: () => focusText("text"),
  a: () => focusText("prompt"),
  k: () => press('button[form="keep"]'),
  n: () => press('a[rel="next"]'),
  ArrowRight: () => press('a[rel="next"]'),
  p: () => press('a[rel="prev"]'),
  ArrowLeft: () => press('a[rel="prev"]'),
  Escape: () => press("a.back"),
};

document.addEventListener("keydown", (event) => {
  const text = event.target.closest("textarea");
  if (text && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    text.form.requestSubmit();
  } else if (text && event.key === "Escape") {
    text.blur();
  } else if (!text && !event.ctrlKey && !event.metaKey && !event.altKey && event.key in keys) {
    event.preventDefault();
    keys[event.key]();
  }
});

function follow() {
  const events = new EventSource(article.dataset.events);
  const growing = document.getElementById("growing");
  events.addEventListener("open", () => (notice.hidden = true));
  events.addEventListener("restart", () => (growing.textContent = ""));
  events.addEventListener("tokens", (event) => {
    const { text, at } = JSON.parse(event.data);
    growing.textContent = growing.textContent.slice(0, at) + text;
  });
  events.addEventListener("result", () => location.reload());
  events.addEventListener("error", () => {
    notice.textContent = "The connection to captionq is lost. This page tries again by itself.";
    notice.hidden = false;
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

if (article.dataset.events) follow();
