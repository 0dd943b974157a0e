// OpenAI's own Node client against a running server and a real model.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const model = process.env.AGENTBASE_TEST_MODEL;
const messages = [
  { role: "user", content: "What is the capital of France? Answer in one sentence." },
];
// Address and key come from the environment, as in any program that uses the client.
const client = new OpenAI({ maxRetries: 0, timeout: 300_000 });

const chat = (options) =>
  client.chat.completions.create({ model, messages, max_tokens: 24, temperature: 0, ...options });

test("models are listed and retrieved", async () => {
  const ids = [];
  for await (const listed of client.models.list()) ids.push(listed.id);
  assert.ok(ids.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("a chat is answered", async () => {
  const answer = await chat();
  assert.equal(answer.object, "chat.completion");
  assert.match(answer.choices[0].message.content, /Paris/);
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test("a stream says the same, and ends with the usage", async () => {
  const whole = await chat();
  let text = "";
  let usage = null;
  let pieces = 0;
  for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
    const content = chunk.choices[0]?.delta.content;
    if (content) {
      text += content;
      pieces += 1;
    }
    assert.equal(usage, null, "nothing comes after the usage");
    usage = chunk.usage ?? null;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.ok(pieces > 3);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test("the stream helper gathers the message", async () => {
  const runner = client.chat.completions.stream({ model, messages, max_tokens: 24, temperature: 0 });
  assert.match(await runner.finalContent(), /Paris/);
});

test("several choices, a seed, and a stop string", async () => {
  const options = { n: 2, temperature: 1, seed: 3, max_tokens: 12 };
  const [one, two] = [await chat(options), await chat(options)];
  assert.equal(one.choices.length, 2);
  assert.deepEqual(
    one.choices.map((choice) => choice.message.content),
    two.choices.map((choice) => choice.message.content),
  );
  const full = (await chat()).choices[0].message.content;
  const stop = full.slice(6, 9);
  const stopped = await chat({ stop });
  assert.equal(stopped.choices[0].message.content, full.slice(0, full.indexOf(stop)));
  assert.equal(stopped.choices[0].finish_reason, "stop");
});

test("log-probabilities come per token", async () => {
  const answer = await chat({ logprobs: true, top_logprobs: 2, max_tokens: 5 });
  const tokens = answer.choices[0].logprobs.content;
  assert.ok(tokens.length > 0);
  for (const token of tokens) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 2);
  }
});

test("completions echo and score the prompt", async () => {
  const prompt = "The quick brown fox";
  const answer = await client.completions.create({
    model, prompt, echo: true, logprobs: 1, max_tokens: 0,
  });
  const { text, logprobs } = answer.choices[0];
  assert.equal(text, prompt);
  assert.equal(logprobs.token_logprobs[0], null);
  assert.equal(logprobs.tokens.join(""), prompt);
});

test("completions stream", async () => {
  let text = "";
  const options = { model, prompt: "One, two, three,", max_tokens: 8, temperature: 0 };
  for await (const chunk of await client.completions.create({ ...options, stream: true })) {
    text += chunk.choices[0]?.text ?? "";
  }
  assert.equal(text, (await client.completions.create(options)).choices[0].text);
});

test("a second turn is cached", async () => {
  const question = { role: "user", content: `Tell me of bridges. (${crypto.randomUUID()})` };
  const first = await chat({ messages: [question], max_tokens: 48 });
  const turns = [question, first.choices[0].message, { role: "user", content: "And of roads?" }];
  const second = await chat({ messages: turns, max_tokens: 8 });
  const cached = second.usage.prompt_tokens_details.cached_tokens;
  assert.ok(cached >= first.usage.prompt_tokens - 16, `${cached} cached`);
});

test("aborting a stream leaves the server answering", async () => {
  const stream = await chat({ stream: true, max_tokens: 500 });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  stream.controller.abort();
  assert.ok((await chat({ max_tokens: 2 })).choices[0].message.content);
});

test("errors have their classes", async () => {
  const wrong = new OpenAI({ apiKey: "ab-wrong", maxRetries: 0 });
  await assert.rejects(
    wrong.chat.completions.create({ model, messages }),
    OpenAI.AuthenticationError,
  );
  await assert.rejects(chat({ model: "no-such-model" }), OpenAI.NotFoundError);
  await assert.rejects(chat({ temperature: -1 }), OpenAI.BadRequestError);
  await assert.rejects(
    chat({ messages: [{ role: "user", content: "word ".repeat(20000) }] }),
    (error) =>
      error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded",
  );
});

test("answers fit a schema", async () => {
  const schema = {
    type: "object",
    properties: { ok: { type: "boolean" }, size: { enum: ["S", "M", "L"] } },
    required: ["ok", "size"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "n", schema, strict: true } };
  const answer = await chat({ response_format, temperature: 1, max_tokens: 100 });
  const value = JSON.parse(answer.choices[0].message.content);
  assert.equal(typeof value.ok, "boolean");
  assert.ok(["S", "M", "L"].includes(value.size));
});

test("a required call is made", async () => {
  const parameters = {
    type: "object",
    properties: { n: { type: "integer", minimum: 0, maximum: 99 } },
    required: ["n"],
    additionalProperties: false,
  };
  const tools = [{ type: "function", function: { name: "roll", parameters } }];
  const options = { tools, tool_choice: "required", parallel_tool_calls: false, max_tokens: 100 };
  const runner = client.chat.completions.stream({ model, messages, ...options });
  const call = (await runner.finalChatCompletion()).choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "roll");
  const { n } = JSON.parse(call.function.arguments);
  assert.ok(Number.isInteger(n) && n >= 0 && n <= 99, `${n}`);
});

test("responses follow each other", async () => {
  const options = { model, max_output_tokens: 24, temperature: 0 };
  const input = messages[0].content;
  const first = await client.responses.create({ ...options, input });
  assert.equal(first.status, "completed");
  const stream = await client.responses.create({ ...options, input, stream: true });
  let text = "";
  let last;
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, first.output_text);
  assert.equal(last.type, "response.completed");
  const more = { ...options, input: "And of Spain?", previous_response_id: first.id };
  const second = await client.responses.create(more);
  assert.ok(second.usage.input_tokens > first.usage.input_tokens);
  assert.equal((await client.responses.retrieve(second.id)).output_text, second.output_text);
  await client.responses.delete(second.id);
  await assert.rejects(client.responses.retrieve(second.id), OpenAI.NotFoundError);
});

test("conversations grow, and completions are stored", async () => {
  const conversation = await client.conversations.create({ metadata: { k: "v" } });
  const options = { model, max_output_tokens: 8, temperature: 0, conversation: conversation.id };
  await client.responses.create({ ...options, input: "Hello" });
  const kinds = [];
  for await (const item of client.conversations.items.list(conversation.id, { order: "asc" })) {
    kinds.push(item.role);
  }
  assert.deepEqual(kinds, ["user", "assistant"]);
  const stored = await chat({ store: true, metadata: { from: "node" }, max_tokens: 4 });
  const again = await client.chat.completions.retrieve(stored.id);
  assert.deepEqual(again.choices, stored.choices);
  assert.equal((await client.chat.completions.delete(stored.id)).deleted, true);
});
