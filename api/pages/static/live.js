"use strict";
// Keeps the overview up to date: the server sends the parts that changed, already escaped.
const list = document.querySelector("[data-live-list]");
const notice = document.getElementById("notice");

function tell(sentence) {
  notice.textContent = sentence;
  notice.hidden = !sentence;
}

function fill(place, html) {
  const hadFocus = place.contains(document.activeElement);
  place.innerHTML = html;
  if (hadFocus) place.querySelector("a")?.focus({ preventScroll: true });
}

function show({ parts, order }) {
  for (const [name, html] of Object.entries(parts)) {
    let place = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (!place) {
      place = document.createElement("li");
      place.dataset.part = name;
      // Runs are sent newest first: a new one goes before the first older one that is shown.
      const after = order.slice(order.indexOf(name) + 1);
      const next = [...list.children].find((item) => after.includes(item.dataset.part));
      list.insertBefore(place, next ?? null);
      document.getElementById("no-runs").hidden = true;
    }
    fill(place, html);
  }
  for (const item of [...list.children]) if (!order.includes(item.dataset.part)) item.remove();
}

function follow() {
  const events = new EventSource(list.dataset.liveList);
  events.addEventListener("open", () => tell(""));
  events.addEventListener("parts", (event) => show(JSON.parse(event.data)));
  events.addEventListener("failure", (event) => tell(JSON.parse(event.data).error.message));
  events.addEventListener("error", () => {
    tell("The connection to captionq is lost. This page tries again by itself.");
    // The browser gives up by itself only when the server answered with an error.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

follow();
