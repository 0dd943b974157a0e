// Anthropic's own Node client against a running server and a real model.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

const model = process.env.AGENTBASE_TEST_MODEL;
const messages = [
  { role: "user", content: "What is the capital of France? Answer in one sentence." },
];
// Only the address differs from Anthropic's own; it goes without `/v1`.
const client = new Anthropic({
  baseURL: process.env.OPENAI_BASE_URL.replace(/\/v1$/, ""),
  apiKey: process.env.OPENAI_API_KEY,
  maxRetries: 0,
  timeout: 300_000,
});
const tool = {
  name: "get_weather",
  description: "The weather of a city",
  input_schema: {
    type: "object",
    properties: { city: { type: "string", maxLength: 20 }, unit: { enum: ["C", "F"] } },
    required: ["city", "unit"],
    additionalProperties: false,
  },
};

const request = (options) => ({ model, messages, max_tokens: 24, temperature: 0, ...options });
const ask = (options) => client.messages.create(request(options));
const input = ({ input_tokens, cache_read_input_tokens }) => input_tokens + cache_read_input_tokens;

test("a message is answered", async () => {
  const message = await ask();
  assert.deepEqual([message.type, message.role, message.model], ["message", "assistant", model]);
  assert.match(message.content[0].text, /Paris/);
  assert.equal(message.stop_reason, "end_turn");
  assert.ok(input(message.usage) > 10 && message.usage.output_tokens > 3);
});

test("a stream says the same", async () => {
  const whole = await ask();
  const stream = client.messages.stream(request());
  const types = new Set();
  stream.on("streamEvent", (event) => types.add(event.type));
  let text = "";
  stream.on("text", (delta) => (text += delta));
  const final = await stream.finalMessage();
  assert.equal(text, whole.content[0].text);
  assert.equal(final.content[0].text, text);
  assert.equal(final.stop_reason, whole.stop_reason);
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  for (const type of ["message_start", "content_block_start", "content_block_delta",
    "content_block_stop", "message_delta", "message_stop"]) {
    assert.ok(types.has(type), `${type} comes`);
  }
});

test("limits and stop sequences", async () => {
  assert.equal((await ask({ max_tokens: 2 })).stop_reason, "max_tokens");
  const full = (await ask()).content[0].text;
  const stop = full.slice(6, 9);
  const message = await ask({ stop_sequences: [stop] });
  assert.deepEqual([message.stop_reason, message.stop_sequence], ["stop_sequence", stop]);
  assert.equal(message.content[0].text, full.slice(0, full.indexOf(stop)));
});

test("tokens are counted", async () => {
  const { input_tokens } = await client.messages.countTokens({ model, messages });
  assert.equal(input_tokens, input((await ask({ max_tokens: 1 })).usage));
});

test("a required tool is called, whole and streamed, and its result is taken", async () => {
  const tool_choice = { type: "any", disable_parallel_tool_use: true };
  const options = { tools: [tool], tool_choice, max_tokens: 200 };
  const message = await ask(options);
  const [call] = message.content;
  assert.deepEqual([message.stop_reason, call.type, call.name], ["tool_use", "tool_use", tool.name]);
  assert.ok(["C", "F"].includes(call.input.unit) && typeof call.input.city === "string");
  const streamed = await client.messages.stream(request(options)).finalMessage();
  assert.deepEqual(streamed.content[0].input, call.input);
  const result = { type: "tool_result", tool_use_id: call.id, content: "21 degrees" };
  const turns = [
    ...messages,
    { role: "assistant", content: message.content },
    { role: "user", content: [result] },
  ];
  const answer = await ask({ messages: turns, tools: [tool], tool_choice: { type: "none" } });
  assert.ok(answer.content[0].text);
});

test("aborting a stream leaves the server answering", async () => {
  const stream = await ask({ stream: true, max_tokens: 500 });
  for await (const event of stream) {
    if (event.type === "content_block_delta") break;
  }
  stream.controller.abort();
  assert.ok((await ask({ max_tokens: 2 })).content[0].text);
});

test("errors have their classes", async () => {
  const wrong = new Anthropic({ baseURL: client.baseURL, apiKey: "ab-wrong", maxRetries: 0 });
  await assert.rejects(wrong.messages.create(request()), Anthropic.AuthenticationError);
  await assert.rejects(ask({ model: "no-such-model" }), Anthropic.NotFoundError);
  await assert.rejects(
    ask({ temperature: 3 }),
    (error) =>
      error instanceof Anthropic.BadRequestError &&
      error.error.error.type === "invalid_request_error",
  );
});
