"use strict";
// Buttons that copy the text beside them. They are hidden where there are no scripts.
for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;

function select(source) {
  const range = document.createRange();
  range.selectNodeContents(source);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    // Browsers have no clipboard for pages without TLS, unless the server is on the same machine.
    select(source);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const words = (button.dataset.words ??= button.textContent);
  const copied = await copy(button.closest(".copyable").querySelector(".copy-source"));
  button.textContent = copied ? "Copied" : "Selected: copy it with the keyboard";
  setTimeout(() => (button.textContent = words), 2000);
});
