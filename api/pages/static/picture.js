"use strict";
// The keys of a picture's page, and the end of a caption that is being written. Without this script the buttons remain.
const article = document.querySelector(".picture");
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
  q: () => focusText("question"),
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

function follow(place, ended) {
  const growing = place.querySelector(".growing");
  const turn = place.querySelector(".waiting");
  followEvents(
    place.dataset.events,
    {
      position: ({ ahead }) => (turn.textContent = ahead ? `Waiting: ${ahead} pictures go first.` : "Waiting: it is next."),
      state: ({ status }) => (turn.textContent = status === "queued" ? "Waiting for its turn." : "Being answered …"),
      restart: () => (growing.textContent = ""),
      tokens: ({ text, at }) => (growing.textContent = growing.textContent.slice(0, at) + text),
      result: (job, stop) => ended(job, place, growing, stop),
    },
    () => {
      const picture = article.querySelector("img");
      if (!picture.naturalWidth) picture.src = picture.src;
    },
  );
}

function answered(job, place, growing, end) {
  end();
  const waiting = place.querySelector(".waiting");
  growing.removeAttribute("aria-busy");
  if (job.result) {
    growing.textContent = job.result.choices[0].message.content ?? "";
    waiting.remove();
  } else {
    waiting.className = "problem";
    waiting.textContent = job.error?.message ?? "Cancelled.";
  }
}

// Only what stands above the questions is made anew: a question that a person is writing stays.
async function captioned(job, place, growing, end) {
  end();
  try {
    const fresh = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const above = (page) => [...page.querySelectorAll(".picture-text > :not(#questions, #questions ~ *)")];
    const made = above(fresh);
    if (!made.length) throw new Error();
    for (const old of above(article)) old.remove();
    form("questions").before(...made);
    tell("");
  } catch {
    location.reload();
  }
}

// Two questions at a time: browsers hold six connections to a server, and the next question needs one too.
const unanswered = [...document.querySelectorAll(".question[data-events]")];
function followNext() {
  const question = unanswered.shift();
  if (!question) return;
  follow(question, (...ended) => {
    answered(...ended);
    followNext();
  });
}

if (article.dataset.events) follow(article, captioned);
followNext();
followNext();
