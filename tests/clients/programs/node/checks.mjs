// What both programs share: the server, a picture with its caption, and a line of JSON for each check.
import { readFileSync } from "node:fs";
import { z } from "zod";

export const URL = process.env.CAPTIONQ_URL;
export const CAPTION = process.env.CAPTIONQ_CAPTION;
export const PICTURE = readFileSync(process.env.CAPTIONQ_PICTURE);
export const DATA_URI = `data:image/png;base64,${PICTURE.toString("base64")}`;
export const PROMPT = "Describe this image.";
// A closed object with few answers, so that also a tiny model gives one of them.
export const Report = z.object({
  color: z.enum(["red", "green", "blue"]),
  count: z.union([z.literal(1), z.literal(2), z.literal(3)]),
});

export function same(answer, expected = CAPTION) {
  if (answer !== expected) throw new Error(`expected ${expected}, got ${answer}`);
}

export async function fails(call, words = "nosuchmodel") {
  try {
    await call();
  } catch (error) {
    if (!String(error.message).includes(words)) throw new Error(`the error does not say '${words}': ${error.message}`);
    return;
  }
  throw new Error("no error was thrown");
}

export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    let note = null;
    try {
      await check();
    } catch (error) {
      note = `${error.name}: ${error.message}`.slice(0, 500);
    }
    console.log(JSON.stringify({ check: name, ok: note === null, note }));
  }
}
