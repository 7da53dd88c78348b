"use strict";
// A gallery of any length: only the rows in sight, and a few around them, are in the page. The server sends cards as HTML,
// already escaped, in parts; the last parts that were seen are kept.
const PARTS_KEPT = 8;
const ROWS_AROUND = 3;

const gallery = document.getElementById("gallery");
const state = document.getElementById("state");
const search = document.querySelector("input[type=search]");
const size = Number(gallery?.dataset.size);
let total = Number(gallery?.dataset.total);
const parts = new Map(); // number of the part -> cards as HTML
const loading = new Set();
const shown = new Map(); // position -> element
let layout = null;
let drawn = false;

function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function blank() {
  return element('<li class="card"><span class="blank"></span><span class="name"></span><span class="caption"></span></li>');
}

async function load(number, again = false) {
  if (loading.has(number) || (parts.has(number) && !again)) return;
  loading.add(number);
  try {
    const answer = await fetch(`${gallery.dataset.rows}&at=${number * size}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error();
    const { total: now, cards } = await answer.json();
    parts.delete(number);
    parts.set(number, cards);
    while (parts.size > PARTS_KEPT) parts.delete(parts.keys().next().value);
    if (now !== total) {
      total = now;
      measure();
    }
    tell("");
    draw();
  } catch {
    tell("The pictures could not be loaded. This page tries again by itself.");
    setTimeout(schedule, 3000);
  } finally {
    loading.delete(number);
  }
}

function measure() {
  const style = getComputedStyle(gallery);
  const columns = style.gridTemplateColumns.split(" ").length;
  const card = gallery.firstElementChild;
  if (!card) return;
  const row = card.getBoundingClientRect().height + parseFloat(style.rowGap);
  layout = { columns, row };
  gallery.style.height = `${Math.ceil(total / columns) * row}px`;
}

function range() {
  const above = Math.max(0, -gallery.getBoundingClientRect().top);
  const first = Math.max(0, Math.floor(above / layout.row) - ROWS_AROUND);
  const last = Math.ceil((above + innerHeight) / layout.row) + ROWS_AROUND;
  return [Math.min(first * layout.columns, total), Math.min(last * layout.columns, total)];
}

function replace(old, html) {
  const fresh = element(html);
  fresh.source = html;
  if (old.contains(document.activeElement)) {
    old.replaceWith(fresh);
    fresh.querySelector("a")?.focus({ preventScroll: true });
  } else {
    old.replaceWith(fresh);
  }
  return fresh;
}

function draw() {
  drawn = false;
  const [first, last] = range();
  gallery.style.paddingTop = `${(first / layout.columns) * layout.row}px`;
  for (const [position, item] of shown) {
    if (position < first || position >= last) {
      item.remove();
      shown.delete(position);
    }
  }
  let before = null;
  for (let position = last - 1; position >= first; position -= 1) {
    const part = Math.floor(position / size);
    const html = parts.get(part)?.[position % size];
    let item = shown.get(position);
    if (!item) {
      item = blank();
      gallery.insertBefore(item, before);
    }
    if (html && item.source !== html) item = replace(item, html); // A caption that is being written stays until its card changes.
    shown.set(position, item);
    before = item;
    if (!html) load(part);
  }
}

function schedule() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(draw);
}

function move(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: layout.columns, ArrowUp: -layout.columns };
  const card = event.target.closest(".card");
  if (!card || !(event.key in steps)) return;
  const here = [...shown].find(([, item]) => item === card)?.[0];
  const next = shown.get(here + steps[event.key]);
  if (!next) return;
  event.preventDefault();
  next.querySelector("a")?.focus();
}

function begin() {
  const at = Number(gallery.dataset.at);
  const cards = [...gallery.children];
  parts.set(at / size, cards.map((card) => card.outerHTML));
  cards.forEach((card, index) => {
    card.source = card.outerHTML;
    shown.set(at + index, card);
  });
  document.getElementById("pager").hidden = true;
  measure();
  // Links back to a run without a choice end with "?": it is the same gallery.
  const here = location.pathname + location.search;
  const place = sessionStorage.getItem(here);
  history.scrollRestoration = "manual";
  if (at) scrollTo(0, gallery.getBoundingClientRect().top + scrollY + (at / layout.columns) * layout.row);
  else if (place) scrollTo(0, Number(place));
  draw();
  addEventListener("scroll", schedule, { passive: true });
  addEventListener("resize", () => {
    measure();
    schedule();
  });
  addEventListener("pagehide", () => sessionStorage.setItem(here, scrollY));
  gallery.addEventListener("keydown", move);
}

let refreshed = 0;
function refresh() {
  // The parts in sight that hold open pictures, at most once a second.
  const wait = refreshed + 1000 - Date.now();
  if (wait > 0) {
    clearTimeout(refresh.timer);
    refresh.timer = setTimeout(refresh, wait);
    return;
  }
  refreshed = Date.now();
  const stale = new Set();
  for (const [position, item] of shown) if ("open" in item.dataset) stale.add(Math.floor(position / size));
  for (const number of [...parts.keys()]) if (!stale.has(number)) parts.delete(number);
  for (const number of stale) load(number, true);
  if (!stale.size) schedule();
}

function showState(now) {
  state.innerHTML = now.html;
  const hasEnded = state.dataset.open && !now.is_open;
  // A page without pictures has its first ones: it begins again, unless a person is writing into it.
  if (!gallery && (hasEnded || (state.dataset.empty && now.done))) {
    if (search.value === search.defaultValue) setTimeout(() => location.reload(), 400);
  } else if (hasEnded) showEnd();
  else if (gallery) refresh();
}

// The buttons and the number of pictures change with the end of the run. What a person does on the page goes on.
async function showEnd() {
  state.dataset.open = "";
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) throw new Error();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of [".run-heading .actions", ".exports"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
    refresh();
  } catch {
    // The next event, or the next connection, tells the end again.
    state.dataset.open = "yes";
  }
}

function showTexts(texts) {
  for (const [id, text] of Object.entries(texts)) {
    const caption = gallery?.querySelector(`[data-id="${CSS.escape(id)}"][data-open] .caption`);
    if (caption && text) caption.textContent = text;
  }
}

function loadMissing() {
  // Pictures that were asked for while the connection was lost.
  for (const image of document.querySelectorAll(".card img")) if (image.complete && !image.naturalWidth) image.src = image.src;
}

document.querySelector("select[name=sort]").addEventListener("change", (event) => event.target.form.requestSubmit());
if (gallery) begin();
followEvents(state.dataset.live, { state: showState, texts: showTexts }, loadMissing);
