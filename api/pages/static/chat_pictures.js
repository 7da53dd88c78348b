"use strict";
// Pictures of questions: read as the data: addresses that requests hold, and shown as tiles.
const VIEWS = new WeakMap();

function readPicture(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => {
      const picture = { name: file.name || "picture", url: reader.result };
      VIEWS.set(picture, URL.createObjectURL(file));
      resolve(picture);
    };
    reader.onerror = () => reject(new Error(`'${file.name}' cannot be read. Add single files, no folders.`));
    reader.readAsDataURL(file);
  });
}

async function readPictures(files) {
  const other = files.find((file) => file.type && !file.type.startsWith("image/"));
  if (other) throw new Error(`'${other.name}' is not a picture.`);
  const empty = files.find((file) => !file.size);
  if (empty) throw new Error(`'${empty.name}' is empty.`);
  return Promise.all(files.map(readPicture));
}

function mediaType(picture) {
  return /^data:([\w.+-]+\/[\w.+-]+)/.exec(picture.url)?.[1] ?? "application/octet-stream";
}

// The page's rules allow pictures of blob: addresses, and none of data: addresses.
function viewOf(picture) {
  if (!VIEWS.has(picture)) {
    const bytes = Uint8Array.from(atob(picture.url.split(",")[1]), (char) => char.charCodeAt(0));
    VIEWS.set(picture, URL.createObjectURL(new Blob([bytes], { type: mediaType(picture) })));
  }
  return VIEWS.get(picture);
}

function tileOf(picture, remove) {
  const tile = document.getElementById("picture").content.cloneNode(true).firstElementChild;
  const image = tile.querySelector("img");
  tile.querySelector("span").textContent = picture.name;
  tile.title = picture.name;
  // Browsers do not show every format that captionq reads.
  image.onerror = () => tile.classList.add("blank");
  if (picture.url) image.src = viewOf(picture);
  else tile.classList.add("blank");
  const button = tile.querySelector("button");
  button.hidden = !remove;
  button.setAttribute("aria-label", `Remove ${picture.name}`);
  button.onclick = remove;
  return tile;
}

// A paste of a table or of rich text brings a picture of it too: then the text is meant.
function pastedPictures(data) {
  const files = [...data.files];
  const text = data.getData("text/plain");
  return !text || files.some((file) => text.includes(file.name)) ? files : [];
}
