"use strict";
// Keeps the overview up to date: the server sends the parts that changed, already escaped.
const list = document.querySelector("[data-live-list]");

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

followEvents(list.dataset.liveList, { parts: show });
