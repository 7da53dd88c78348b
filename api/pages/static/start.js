// The form of a new run: uploads, served folders and the sample. Without this script a served folder can still be captioned.
const AT_A_TIME = 4;
const TRIES = 3;
const MOST_NAMED = 10;
const LOST = "The connection to captionq is lost. This page tries again by itself.";

const by = (id) => document.getElementById(id);
const form = by("start");
const endings = new Set(form.dataset.endings.split(" "));
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const amount = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const plural = (number, word) => `${amount(number)} ${word}${number === 1 ? "" : "s"}`;
const isUpload = () => form.elements.source.value === "upload";

function tell(sentence, id = "notice") {
  by(id).textContent = sentence;
  by(id).hidden = !sentence;
}

// ---- Uploads. Folders are read while they are sent, so that nothing here grows with the number of files.

const fresh = () => ({ found: 0, done: 0, leftOut: 0, refused: 0, moving: new Map(), isOver: false });
let upload = null; // The upload that goes on.
let uploaded = { pictures: Number(form.dataset.pictures), bytes: 0 };
let number = 0;
const sources = [];

const ending = (name) => name.slice(name.lastIndexOf(".")).toLowerCase();
const isHidden = (name) => name.split("/").some((part) => part.startsWith("."));

async function* below(entry, path, isNamed) {
  if (entry.isFile) {
    yield { name: path + entry.name, isNamed, open: () => new Promise((take, fail) => entry.file(take, fail)) };
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((take, fail) => reader.readEntries(take, fail));
    if (!part.length) return;
    for (const one of part) yield* below(one, `${path}${entry.name}/`, false);
  }
}

async function* listed(files) {
  for (const file of files) {
    const name = file.webkitRelativePath || file.name;
    yield { name, isNamed: !file.webkitRelativePath, open: async () => file };
  }
}

function dropped(transfer) {
  const entries = [];
  const files = [];
  for (const item of transfer.items) {
    const entry = item.kind === "file" ? item.webkitGetAsEntry?.() : null;
    if (entry) entries.push(entry);
    else if (item.kind === "file") files.push(item.getAsFile());
  }
  return async function* () {
    for (const entry of entries) yield* below(entry, "", true);
    yield* listed(files);
  };
}

function isWanted(one) {
  if (one.isNamed) return true;
  return !isHidden(one.name) && endings.has(ending(one.name));
}

async function* wantedFiles() {
  while (sources.length) {
    for await (const one of sources[0]()) if (isWanted(one)) yield one;
    sources.shift();
  }
}

async function countFiles(source, now) {
  for await (const one of source()) {
    if (now.isOver) return;
    if (isWanted(one)) now.found += 1;
    else now.leftOut += 1;
  }
  if (!now.isOver) draw();
}

async function begin(source) {
  sources.push(source);
  form.elements.source.value = "upload";
  if (upload) {
    countFiles(source, upload).catch(() => {});
    return;
  }
  const now = (upload = fresh());
  by("refused").replaceChildren();
  tell("", "sample-problem");
  draw();
  const counting = countFiles(source, now).catch(() => {});
  try {
    while (sources.length && !now.isOver) {
      const files = wantedFiles();
      await Promise.all(Array.from({ length: AT_A_TIME }, () => sendAll(files, now)));
    }
    await counting;
  } catch {
    refuse(now, "A folder could not be read, so a part of it is missing. Choose it again.");
  }
  sources.length = 0;
  now.isOver = true;
  if (upload === now) upload = null;
  draw(now);
}

async function sendAll(files, now) {
  for (let step = await files.next(); !step.done && !now.isOver; step = await files.next()) {
    const one = step.value;
    const at = (number += 1);
    if (one.isNamed && !endings.has(ending(one.name)) && ending(one.name) !== ".zip") {
      refuse(now, `${one.name} is no picture that captionq reads, and no zip.`);
    } else {
      await sendOne(one, at, now);
    }
    now.moving.delete(at);
    now.done += 1;
    draw();
  }
}

async function sendOne(one, at, now) {
  for (let tries = 1; !now.isOver; tries += 1) {
    try {
      const { status, said } = await post(await one.open(), one.name, at, tries > 1, now);
      if (status === 200) {
        // Answers may overtake each other.
        if (!now.isOver && said.pictures >= uploaded.pictures) uploaded = said;
        return;
      }
      const isOfFile = status < 500 && status !== 401 && status !== 403 && said.error.code !== "upload_too_large";
      refuse(now, said.error.message);
      if (!isOfFile) now.isOver = true;
      return;
    } catch {
      if (now.isOver) return;
      const isThere = await fetch("/start/folders").then((answer) => answer.ok, () => false);
      if (isThere && tries >= TRIES) {
        refuse(now, `${one.name} could not be read.`);
        return;
      }
      tell(isThere ? "" : LOST);
      await wait(isThere ? 0.5 : 3);
    }
  }
}

function post(file, name, at, again, now) {
  return new Promise((take, fail) => {
    const request = new XMLHttpRequest();
    const known = encodeURIComponent(name.toWellFormed?.() ?? name);
    request.open("POST", `${form.dataset.uploads}/${at}?name=${known}${again ? "&again=true" : ""}`);
    request.upload.onprogress = (event) => {
      now.moving.set(at, { request, share: event.loaded / (event.total || 1) });
      draw();
    };
    request.onload = () => {
      tell("");
      try {
        take({ status: request.status, said: JSON.parse(request.responseText) });
      } catch (error) {
        fail(error);
      }
    };
    request.onerror = request.onabort = fail;
    now.moving.set(at, { request, share: 0 });
    request.send(file);
  });
}

function refuse(now, sentence) {
  now.refused += 1;
  const list = by("refused");
  if (now.refused > MOST_NAMED) list.lastElementChild.textContent = `… and ${amount(now.refused - MOST_NAMED)} more`;
  if (now.refused > MOST_NAMED + 1) return;
  const item = document.createElement("li");
  item.textContent = now.refused > MOST_NAMED ? "… and 1 more" : sentence;
  list.append(item);
}

function stop() {
  const now = upload ?? fresh();
  now.isOver = true;
  sources.length = 0;
  for (const { request } of now.moving.values()) request.abort();
  fetch(`${form.dataset.uploads}/discard`, { method: "POST" }).catch(() => {});
  // A file that has just arrived stays in the old tray.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  form.elements.tray.value = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  form.dataset.uploads = `/start/uploads/${form.elements.tray.value}`;
  upload = null;
  uploaded = { pictures: 0, bytes: 0 };
  by("refused").replaceChildren();
  tell("");
  draw();
}

let drawn = fresh();
function draw(last) {
  drawn = upload ?? last ?? (uploaded.pictures ? drawn : fresh());
  const share = [...drawn.moving.values()].reduce((sum, one) => sum + one.share, drawn.done);
  const total = Math.max(drawn.found, drawn.done, 1);
  by("upload").hidden = !upload && !uploaded.pictures && !drawn.refused && !drawn.leftOut;
  by("upload-bar").hidden = !upload;
  by("upload-bar").max = total;
  by("upload-bar").value = share;
  const size = uploaded.bytes ? `, ${amount(Math.max(1, Math.round(uploaded.bytes / 1e6)))} MB` : "";
  const left = drawn.leftOut ? ` · ${plural(drawn.leftOut, "other file")} left out` : "";
  const ready = `${plural(uploaded.pictures, "picture")}${size} uploaded`;
  const going = `${amount(drawn.done)} of ${plural(total, "file")} · `;
  const words = upload ? going + ready : ready + left;
  if (by("upload-facts").textContent !== words) by("upload-facts").textContent = words;
  by("upload-stop").textContent = upload ? "Cancel the upload" : "Remove all";
  label();
}

by("plain").hidden = true;
by("drop").hidden = false;
by("upload-stop").addEventListener("click", stop);
for (const input of [by("files"), by("tree")]) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) begin(() => listed(files));
  });
}
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
const over = (isOver) => by("drop").classList.toggle("is-over", isOver);
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  over(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget ?? over(false));
document.addEventListener("drop", (event) => {
  over(false);
  if (!holdsFiles(event)) return;
  event.preventDefault();
  begin(dropped(event.dataTransfer));
});
addEventListener("beforeunload", (event) => {
  if (upload) event.preventDefault();
});

// ---- Served folders.

by("folders").addEventListener("click", async (event) => {
  const link = event.target.closest("[data-folder]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const answer = await fetch(`/start/folders${new URL(link.href).search}`, { headers: { Accept: "text/html" } });
    if (answer.redirected) location.reload();
    by("folders").innerHTML = await answer.text();
    tell("");
    by("folders").querySelector("[aria-current]")?.focus();
    forget();
  } catch {
    tell("The folder could not be opened: the connection to captionq is lost. Try again.");
  }
});

// ---- The sample and the run.

let events = null;
let sampled = 0; // Pictures of the run that was sampled.

function label() {
  by("go").disabled = by("try").disabled = Boolean(upload);
  const known = sampled || (isUpload() ? uploaded.pictures : 0);
  by("go").textContent = upload ? "Uploading …" : known ? `Caption all ${amount(known)}` : "Caption all";
}

function forget() {
  sampled = 0;
  by("try").textContent = "Try three";
  label();
}

async function sample() {
  tell("", "sample-problem");
  by("try").disabled = true;
  try {
    const answer = await fetch("/start/sample", { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error.message);
    form.elements.sample.value = said.id;
    by("sample").innerHTML = said.html;
    by("try").textContent = "Try again";
    sampled = said.pictures;
    follow(said.live);
  } catch (error) {
    tell(error instanceof TypeError ? "The connection to captionq is lost. Try again." : error.message, "sample-problem");
  }
  by("try").disabled = false;
  label();
}

function follow(address) {
  events?.close();
  const now = (events = new EventSource(address));
  now.addEventListener("open", () => tell(""));
  now.addEventListener("sample", (event) => {
    const { html, is_open } = JSON.parse(event.data);
    by("sample").innerHTML = html;
    if (!is_open) now.close();
  });
  now.addEventListener("texts", (event) => {
    for (const [id, text] of Object.entries(JSON.parse(event.data))) {
      const caption = by("sample").querySelector(`[data-id="${CSS.escape(id)}"] .caption`);
      if (caption && text) caption.textContent = text;
    }
  });
  now.addEventListener("failure", (event) => tell(JSON.parse(event.data).error.message));
  now.addEventListener("error", () => {
    tell(LOST);
    if (now.readyState === EventSource.CLOSED && events === now) setTimeout(() => follow(address), 3000);
  });
}

function showPrompt() {
  form.elements.prompt.placeholder = form.elements.preset.selectedOptions[0].dataset.prompt;
}

by("try").hidden = false;
by("try").addEventListener("click", sample);
form.addEventListener("input", forget);
form.elements.preset.addEventListener("change", showPrompt);
form.addEventListener("submit", (event) => {
  if (upload) event.preventDefault();
  // Not at once: a disabled button would not send the form.
  else setTimeout(() => (by("go").disabled = true));
});
addEventListener("pageshow", label);
showPrompt();
draw();
