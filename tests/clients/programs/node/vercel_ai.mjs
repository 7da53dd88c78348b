// The Vercel AI SDK, with its providers for OpenAI and for servers like it.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "ai";
import { PICTURE, PROMPT, Report, URL, fails, run, same } from "./checks.mjs";

const { generateText, streamText, tool } = ai;
const compatible = createOpenAICompatible({ name: "captionq", baseURL: `${URL}/v1`, apiKey: "any", supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL: `${URL}/v1`, apiKey: "any" });
const model = compatible("demo");
const about = {
  messages: [{ role: "user", content: [{ type: "text", text: PROMPT }, { type: "image", image: PICTURE }] }],
  maxRetries: 0,
};

await run({
  plain: async () => same((await generateText({ model, prompt: "Count to five.", maxRetries: 0 })).text, "one two three four five"),
  image: async () => same((await generateText({ model, ...about })).text),
  stream: async () => {
    let text = "";
    for await (const piece of streamText({ model, ...about }).textStream) text += piece;
    same(text);
  },
  structured: async () => {
    const answer = await generateText({ model, ...about, output: ai.Output.object({ schema: Report }) });
    Report.parse(answer.output);
  },
  tools: async () => {
    const report = tool({ description: "Reports.", inputSchema: Report });
    const answer = await generateText({ model, ...about, tools: { report }, toolChoice: "required" });
    Report.parse(answer.toolCalls[0].input);
  },
  responses: async () => same((await generateText({ model: openai("demo"), ...about })).text),
  errors: async () => fails(() => generateText({ model: compatible("nosuchmodel"), ...about })),
});
