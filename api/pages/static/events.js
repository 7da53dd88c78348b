"use strict";
// The events of a live page, and the sentence above it while something is wrong. The server sends a beat every three seconds:
// a connection without beats is lost, even if nobody closed it.
const SILENCE = 12000;
const PAUSE = 3000;
const LOST = "The connection to captionq is lost. This page tries again by itself.";
const notice = document.getElementById("notice");

function tell(sentence) {
  if (notice.textContent !== sentence) notice.textContent = sentence;
  notice.hidden = !sentence;
}

// Browsers hold six connections to a server, for all tabs together: a tab that is out of sight leaves its own to the others.
function followEvents(address, handlers, onReturn = () => {}) {
  let events = null;
  let heard;
  let isLost = false;
  let isOver = false;

  function hear(name, handle) {
    events.addEventListener(name, (event) => {
      heard = Date.now();
      if (isLost) {
        isLost = false;
        onReturn();
      }
      handle(JSON.parse(event.data), end);
    });
  }

  function begin() {
    events?.close();
    events = null;
    if (isOver || document.hidden) return;
    heard = Date.now();
    events = new EventSource(address);
    for (const [name, handle] of Object.entries(handlers)) hear(name, handle);
    hear("beat", (beat) => tell(beat.notice));
    hear("failure", (failure) => tell(failure.error.message));
    events.addEventListener("error", () => {
      lose();
      if (events.readyState === EventSource.CLOSED) explain();
    });
  }

  // The stream has said all that it has to say.
  function end() {
    isOver = true;
    clearInterval(watch);
    document.removeEventListener("visibilitychange", begin);
    events?.close();
  }

  function lose() {
    isLost = true;
    tell(LOST);
  }

  // The server answered with an error, and the browser does not say which. A session that has ended leads to the login.
  async function explain() {
    setTimeout(begin, PAUSE);
    const ended = new AbortController();
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, signal: ended.signal });
      if (answer.status === 401) location.reload();
      else if (!answer.ok) tell(`${(await answer.json()).error.message} This page tries again by itself.`);
    } catch {
      tell(LOST);
    }
    ended.abort();
  }

  begin();
  document.addEventListener("visibilitychange", begin);
  const watch = setInterval(() => {
    if (!events || events.readyState === EventSource.CLOSED || Date.now() - heard < SILENCE) return;
    lose();
    begin();
  }, 1000);
}
