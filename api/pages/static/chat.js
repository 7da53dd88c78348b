"use strict";
// A conversation. It lives in this page, and in the tab's own storage over a reload; the server keeps only its jobs.
const place = (id) => document.getElementById(id);
const KEPT = "captionq-chat";
const BUSY = "Wait for the answer, or stop it.";
const settings = { model: place("model"), temperature: place("temperature"), max_tokens: place("max-tokens"), system: place("system") };
const question = place("question");
const state = { turns: [], pictures: [], edited: null, draft: null };
const parts = new WeakMap();
const unanswered = () => state.turns.find((turn) => ["asked", "followed"].includes(turn.status));

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(path, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  } catch {
    throw new Refused(0, "captionq does not answer. Your question is kept: ask again when the server is back.");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const found = await answer.json().catch(() => null);
  throw new Refused(answer.status, found?.error?.message ?? `The server answered with the status ${answer.status}.`);
}

// -- the request

function hasAnswer(turn) {
  return Boolean(turn.answer) && turn.status !== "failed";
}

function contentOf(turn, asPart) {
  const pictures = turn.pictures.filter((picture) => picture.url).map(asPart);
  return pictures.length ? [...pictures, { type: "text", text: turn.question }] : turn.question;
}

// Questions that have no answer are left out: some models accept only questions and answers in turn.
function requestOf(turn, asPart) {
  const earlier = state.turns.slice(0, state.turns.indexOf(turn)).filter(hasAnswer);
  const { model, temperature, max_tokens, thinks, system } = turn.settings;
  const messages = earlier.flatMap((one) => [
    { role: "user", content: contentOf(one, asPart) },
    { role: "assistant", content: one.answer },
  ]);
  messages.push({ role: "user", content: contentOf(turn, asPart) });
  if (system) messages.unshift({ role: "system", content: system });
  const request = { model, messages, temperature };
  if (max_tokens) request.max_tokens = max_tokens;
  if (thinks !== null) request.enable_thinking = thinks;
  return JSON.stringify(request);
}

const asImage = (picture) => ({ type: "image_url", image_url: { url: picture.url } });
const asFile = (picture) => ({ type: "picture", name: picture.name, media_type: mediaType(picture) });

function chosen() {
  const thinks = settings.model.selectedOptions[0].hasAttribute("data-thinks");
  return {
    model: settings.model.value,
    temperature: Number(settings.temperature.value),
    max_tokens: Number(settings.max_tokens.value) || null,
    thinks: thinks ? place("thinking").checked : null,
    system: settings.system.value.trim(),
  };
}

// -- asking

async function ask(turn) {
  Object.assign(turn, { settings: chosen(), answer: "", thoughts: "", problem: "", facts: "", job: null, status: "asked" });
  show();
  speak("Waiting for the answer.");
  const body = requestOf(turn, asImage);
  try {
    const size = new Blob([body]).size;
    const most = Number(place("chat").dataset.maxBody);
    if (size > most) {
      const sizes = `${Math.ceil(size / 1e6)} MB; the server takes ${Math.floor(most / 1e6)} MB`;
      throw new Refused(413, `The pictures of this conversation have ${sizes} (CAPTIONQ_MAX_BODY_BYTES). Use smaller or fewer ones.`);
    }
    turn.job = (await send("/chat/questions", body)).id;
  } catch (error) {
    return end(turn, "failed", error.status === 401 ? "Your session has ended. Reload this page to log in again." : error.message);
  }
  if (turn.status !== "asked") return stopJob(turn);
  turn.status = "followed";
  keep();
  follow(turn);
}

function follow(turn) {
  const address = `/chat/answers/${turn.job}`;
  const events = new EventSource(address);
  const on = (name, action) => events.addEventListener(name, (event) => action(event.data ? JSON.parse(event.data) : null));
  const say = (words) => {
    turn.facts = words;
    showTurn(turn);
  };
  turn.leave = () => events.close();
  events.addEventListener("open", () => notice(""));
  on("state", ({ status }) => say(status === "queued" ? "Waiting for its turn" : "Looking …"));
  on("position", ({ ahead, seconds_left: left }) => {
    const time = left === null ? "" : `, about ${Math.max(1, Math.round(left))} s`;
    say(ahead ? `Waiting: ${ahead} ahead${time}` : "Waiting for its turn");
  });
  on("loading", ({ model }) => say(`Loading ${model} …`));
  on("checking", ({ model }) => say(`Checking ${model} …`));
  on("restart", () => {
    Object.assign(turn, { answer: "", thoughts: "" });
    say("The worker was restarted. The answer begins again.");
  });
  const grow = (name) => ({ text, at }) => {
    turn[name] = turn[name].slice(0, at) + text;
    say("");
  };
  on("tokens", grow("answer"));
  on("thoughts", grow("thoughts"));
  on("result", (job) => {
    events.close();
    notice("");
    finish(turn, job);
  });
  on("error", (told) => {
    if (told) say(told.error.message);
    else lost(turn, events, address);
  });
}

// A browser reconnects by itself, and continues after the last event, unless the server answered with an error.
async function lost(turn, events, address) {
  if (turn.status !== "followed") return;
  notice("The connection to captionq is lost. The answer goes on when the server is back: this page tries again by itself.");
  if (events.readyState !== EventSource.CLOSED) return;
  const answer = await fetch(address).catch(() => null);
  answer?.body.cancel();
  if (answer?.status === 401) notice("Your session has ended. Reload this page to log in again.");
  else if (answer?.status === 404) {
    notice("");
    end(turn, "failed", "The server does not know this answer any more. Ask again.");
  } else setTimeout(() => turn.status === "followed" && follow(turn), 2000);
}

function finish(turn, job) {
  if (job.status !== "succeeded") return end(turn, job.status, job.error?.message ?? "");
  const { message, finish_reason: reason } = job.result.choices[0];
  turn.answer = message.content ?? "";
  turn.thoughts = message.reasoning_content ?? "";
  const { prompt_tokens: read, completion_tokens: written } = job.result.usage;
  const facts = [`${read} tokens read, ${written} written`, `${(job.finished_at - job.created_at).toFixed(1)} s`];
  if (job.cached) facts.push("from the cache");
  if (reason === "length") facts.push("cut off: allow more tokens in the settings");
  turn.facts = facts.join(" · ");
  end(turn, "answered", "");
}

function end(turn, status, failure) {
  turn.status = status;
  turn.problem = failure;
  if (status === "cancelled") turn.facts = turn.answer ? "Stopped" : "Stopped before the answer began. What follows leaves this question out.";
  else if (status === "failed") turn.facts = "";
  delete turn.leave;
  if (place("composer-problem").textContent === BUSY) problem("");
  show();
  speak(failure || (status === "cancelled" ? "Stopped." : `Answer: ${turn.answer}`));
  keep();
}

async function stopJob(turn) {
  try {
    await send(`/chat/answers/${turn.job}/stop`);
  } catch (error) {
    notice(error.status ? error.message : "captionq does not answer, so the answer could not be stopped.");
  }
}

function stop() {
  const turn = unanswered();
  if (!turn) return;
  turn.leave?.();
  // The request that asks may be on its way: its answer is stopped when its id is known.
  if (turn.job) stopJob(turn);
  end(turn, "cancelled", "");
  question.focus();
}

async function submit() {
  // Pictures that are still read belong to the question. One that cannot be used is told first.
  if (unread && !(await reading)) return;
  const words = question.value.trim();
  if (unanswered()) return problem(BUSY);
  if (!settings.temperature.reportValidity() || !settings.max_tokens.reportValidity()) return;
  if (!words) return problem(state.pictures.length ? "Write a question about the pictures." : "Write a question.");
  const turn = { question: words, pictures: state.pictures };
  if (state.edited) state.turns.splice(state.turns.indexOf(state.edited), 1);
  compose(state.draft ?? { words: "", pictures: [] });
  state.turns.push(turn);
  ask(turn);
  scrollTo(0, document.body.scrollHeight);
}

// -- the question that is being written

const written = () => ({ words: question.value, pictures: state.pictures });

function compose({ words, pictures }, edited = null) {
  Object.assign(state, { pictures, edited, draft: edited ? (state.draft ?? written()) : null });
  question.value = words;
  problem("");
  showComposer();
  show();
  question.focus();
}

function problem(sentence) {
  place("composer-problem").textContent = sentence;
  place("composer-problem").hidden = !sentence;
}

// Pictures that are given while others are still read wait for them: none is lost, and they stay in their order.
let reading = Promise.resolve(true);
let unread = 0;

function add(files) {
  if (!files.length) return reading;
  unread += 1;
  reading = reading.then(() => addOnce(files)).finally(() => (unread -= 1));
  return reading;
}

async function addOnce(files) {
  let isRead = true;
  try {
    const read = await readPictures(files);
    state.pictures = [...state.pictures, ...read];
    problem("");
    speak(`${files.length === 1 ? files[0].name : `${files.length} pictures`} added.`);
  } catch (error) {
    isRead = false;
    problem(error.message);
  }
  showComposer();
  question.focus();
  return isRead;
}

function showComposer() {
  const remove = (picture) => () => {
    state.pictures = state.pictures.filter((one) => one !== picture);
    speak(`${picture.name} removed.`);
    showComposer();
    question.focus();
  };
  place("previews").replaceChildren(...state.pictures.map((picture) => tileOf(picture, remove(picture))));
  place("editing").hidden = !state.edited;
}

// -- what is shown

function notice(sentence) {
  const line = document.getElementById("notice");
  if (line.textContent !== sentence) line.textContent = sentence;
  line.hidden = !sentence;
}

// Read by screen readers: whole answers, not each token.
function speak(words) {
  place("spoken").textContent = words;
}

function show() {
  const shown = state.turns.map((turn) => {
    showTurn(turn);
    return parts.get(turn);
  });
  const list = place("turns");
  for (const item of [...list.children]) if (!shown.includes(item)) item.remove();
  shown.forEach((item, at) => list.children[at] !== item && list.insertBefore(item, list.children[at] ?? null));
  const busy = Boolean(unanswered());
  place("stop").hidden = !busy;
  place("send").hidden = busy;
  place("welcome").hidden = shown.length > 0;
  place("new").hidden = !shown.length;
}

function made(turn) {
  const item = place("turn").content.cloneNode(true).firstElementChild;
  item.querySelector(".asked .words").textContent = turn.question;
  item.querySelector(".previews").replaceChildren(...turn.pictures.map((picture) => tileOf(picture)));
  item.querySelector(".edit").onclick = () => compose({ words: turn.question, pictures: turn.pictures.filter((one) => one.url) }, turn);
  item.querySelector(".again").onclick = () => ask(turn);
  item.querySelector(".show-code").onclick = () => showCode(turn);
  item.querySelector(".in-folder").hidden = !state.turns.some((one) => one.pictures.length);
  return item;
}

function fill(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showTurn(turn) {
  if (!parts.has(turn)) parts.set(turn, made(turn));
  const item = parts.get(turn);
  const find = (selector) => item.querySelector(selector);
  const isLast = turn === state.turns.at(-1);
  const busy = ["asked", "followed"].includes(turn.status);
  const atEnd = innerHeight + scrollY > document.body.scrollHeight - 80;
  fill(find(".who"), turn.settings.model);
  fill(find(".answer"), turn.answer);
  fill(find(".thoughts .words"), turn.thoughts);
  find(".thoughts").hidden = !turn.thoughts;
  fill(find(".answered > .problem"), turn.problem);
  find(".answered > .problem").hidden = !turn.problem;
  fill(find(".facts"), turn.facts || (busy && !turn.answer && !turn.thoughts ? "Asking …" : ""));
  find(".actions").hidden = busy;
  find(".actions [data-copy]").hidden = !turn.answer;
  find(".edit").hidden = busy || !isLast || turn === state.edited;
  find(".again").hidden = busy || !isLast;
  find(".asked").classList.toggle("being-edited", turn === state.edited);
  if (busy) showCode(turn, false);
  if (busy && atEnd) scrollTo(0, document.body.scrollHeight);
}

async function showCode(turn, wanted = parts.get(turn).querySelector(".code").hidden) {
  const item = parts.get(turn);
  if (wanted) {
    try {
      const code = await send("/chat/code", requestOf(turn, asFile));
      const [curl, python] = item.querySelectorAll(".code pre");
      curl.textContent = code.curl;
      python.textContent = code.python;
    } catch (error) {
      return notice(error.status ? error.message : "captionq does not answer. Try again when the server is back.");
    }
  }
  item.querySelector(".code").hidden = !wanted;
  item.querySelector(".show-code").setAttribute("aria-expanded", String(wanted));
}

function showSettings() {
  const { model, temperature, max_tokens, thinks, system } = chosen();
  const words = [model, `temperature ${temperature}`];
  if (max_tokens) words.push(`at most ${max_tokens} tokens`);
  if (thinks) words.push("thinks first");
  if (system) words.push("with a system message");
  place("settings-words").textContent = `Settings: ${words.join(", ")}`;
  place("thinking-field").hidden = thinks === null;
}

// -- over a reload

function keep() {
  const turns = state.turns.map(({ leave, ...turn }) => turn);
  const edit = state.edited && { at: state.turns.indexOf(state.edited), ...written() };
  const kept = { turns, draft: state.draft ?? written(), edit, chosen: chosen() };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // Browsers keep about 5 MB for a tab. Texts are kept in any case.
    const bare = JSON.stringify(kept, (name, value) => (name === "url" ? "" : value));
    try {
      sessionStorage.setItem(KEPT, bare);
    } catch {
      sessionStorage.removeItem(KEPT);
    }
  }
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (!kept) return;
  const { model, temperature, max_tokens, thinks, system } = kept.chosen;
  if ([...settings.model.options].some((option) => option.value === model)) settings.model.value = model;
  settings.temperature.value = temperature;
  settings.max_tokens.value = max_tokens ?? "";
  settings.system.value = system;
  place("thinking").checked = Boolean(thinks);
  state.turns = kept.turns;
  const all = [...kept.turns.flatMap((turn) => turn.pictures), ...kept.draft.pictures, ...(kept.edit?.pictures ?? [])];
  kept.draft.pictures = kept.draft.pictures.filter((picture) => picture.url);
  const shown = kept.edit ?? kept.draft;
  state.pictures = shown.pictures.filter((picture) => picture.url);
  question.value = shown.words;
  if (kept.edit) Object.assign(state, { edited: state.turns[kept.edit.at], draft: kept.draft });
  const missing = [...new Set(all.filter((picture) => !picture.url).map((picture) => picture.name))];
  if (missing.length) notice(`These pictures were too large to keep over the reload, and are left out of what follows: ${missing.join(", ")}`);
  for (const turn of state.turns) {
    if (turn.status === "asked") Object.assign(turn, { status: "failed", problem: "The page was left before the question was sent. Ask again." });
    else if (turn.status === "followed") follow(turn);
  }
}

// -- keys, clicks and drops

place("composer").onsubmit = (event) => {
  event.preventDefault();
  submit();
};
question.onkeydown = (event) => {
  // While an input method composes a character, Enter chooses it. Safari has ended the composition by now: it leaves the code 229.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape" && state.edited) place("cancel-edit").click();
};
question.oninput = () => problem("");
place("stop").onclick = stop;
place("cancel-edit").onclick = () => compose(state.draft);
place("new").onclick = () => {
  if (!confirm("Begin a new conversation? This one is stored nowhere else.")) return;
  stop();
  state.turns = [];
  notice("");
  compose(state.draft ?? written());
  keep();
};
place("files").onchange = async (event) => {
  await add([...event.target.files]);
  event.target.value = "";
};
document.addEventListener("paste", (event) => {
  const files = pastedPictures(event.clipboardData);
  if (!files.length) return;
  event.preventDefault();
  add(files);
});
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  place("chat").classList.add("dropping");
});
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    if (name === "drop" || !event.relatedTarget) place("chat").classList.remove("dropping");
  });
}
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  add([...event.dataTransfer.files]);
});
document.querySelector(".settings").addEventListener("input", showSettings);
addEventListener("pagehide", keep);

restore();
place("composer").hidden = false;
showComposer();
showSettings();
show();
question.focus();
