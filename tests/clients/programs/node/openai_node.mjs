// OpenAI's client for Node.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { DATA_URI, PROMPT, Report, URL, fails, run, same } from "./checks.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: "any", maxRetries: 0 });
const model = "demo";
const messages = [
  { role: "user", content: [{ type: "image_url", image_url: { url: DATA_URI } }, { type: "text", text: PROMPT }] },
];
const parameters = { ...z.toJSONSchema(Report), $schema: undefined };
const tools = [{ type: "function", function: { name: "report", parameters } }];

await run({
  plain: async () => {
    const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content: "Count to five." }] });
    same(answer.choices[0].message.content, "one two three four five");
  },
  image: async () => same((await client.chat.completions.create({ model, messages })).choices[0].message.content),
  stream: async () => {
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    same(text);
  },
  structured: async () => {
    const answer = await client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(Report, "report") });
    Report.parse(answer.choices[0].message.parsed);
  },
  tools: async () => {
    const answer = await client.chat.completions.create({ model, messages, tools, tool_choice: "required" });
    Report.parse(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments));
  },
  responses: async () => {
    const content = [{ type: "input_text", text: PROMPT }, { type: "input_image", image_url: DATA_URI, detail: "auto" }];
    same((await client.responses.create({ model, input: [{ role: "user", content }] })).output_text);
  },
  errors: async () => {
    await fails(() => client.chat.completions.create({ model: "nosuchmodel", messages }));
    await fails(() => client.chat.completions.create({ model: "demo-text", messages }), "image");
  },
});
