// Vercel's AI SDK against a running server and a real model, by its provider for compatible
// servers and by OpenAI's own in its chat form.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  generateObject,
  generateText,
  Output,
  streamObject,
  streamText,
  tool,
} from "ai";
import { z } from "zod";

const id = process.env.AGENTBASE_TEST_MODEL;
const address = { baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY };
const compatible = { name: "agentbase", includeUsage: true, supportsStructuredOutputs: true };
const providers = {
  "openai-compatible": createOpenAICompatible({ ...address, ...compatible }).chatModel(id),
  openai: createOpenAI(address).chat(id),
};
const prompt = "What is the capital of France? Answer in one sentence.";
const schema = z.object({ size: z.enum(["S", "M", "L"]), fits: z.boolean() });
const roll = (execute) =>
  tool({
    description: "Rolls a die",
    inputSchema: z.object({ sides: z.number().int().min(2).max(9) }),
    execute,
  });

for (const [name, model] of Object.entries(providers)) {
  const options = { model, prompt, temperature: 0, maxOutputTokens: 100, maxRetries: 0 };

  test(`${name}: a text, and how many tokens it took`, async () => {
    const { text, finishReason, usage } = await generateText(options);
    assert.match(text, /Paris/);
    assert.equal(finishReason, "stop");
    assert.ok(usage.inputTokens > 10 && usage.outputTokens > 3);
    assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
    const cut = await generateText({ ...options, maxOutputTokens: 2 });
    assert.equal(cut.finishReason, "length");
  });

  test(`${name}: a stream says the same`, async () => {
    const whole = await generateText(options);
    const stream = streamText(options);
    let text = "";
    let pieces = 0;
    for await (const piece of stream.textStream) {
      text += piece;
      pieces += 1;
    }
    assert.equal(text, whole.text);
    assert.ok(pieces > 3);
    assert.equal(await stream.finishReason, "stop");
    assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);
  });

  test(`${name}: an object of a schema, whole and streamed`, async () => {
    const { object } = await generateObject({ ...options, schema, prompt: "Which size fits?" });
    assert.ok(schema.safeParse(object).success);
    const stream = streamObject({ ...options, schema, prompt: "Which size fits?" });
    for await (const partial of stream.partialObjectStream) assert.equal(typeof partial, "object");
    assert.deepEqual(await stream.object, object);
    const output = Output.object({ schema });
    const text = await generateText({ ...options, output, prompt: "Which size fits?" });
    assert.deepEqual(text.output, object);
  });

  test(`${name}: a required tool is called with fitting arguments, and its result goes back`, async () => {
    const seen = [];
    const tools = { roll: roll(({ sides }) => (seen.push(sides), { rolled: 2 })) };
    const asked = { ...options, prompt: "Roll a die.", tools };
    const { toolCalls, toolResults, finishReason, response } = await generateText({
      ...asked,
      toolChoice: "required",
    });
    assert.equal(finishReason, "tool-calls");
    assert.ok(toolCalls.length >= 1 && toolCalls.length === seen.length);
    for (const sides of seen) assert.ok(Number.isInteger(sides) && sides >= 2 && sides <= 9);
    assert.deepEqual(toolResults[0].output, { rolled: 2 });
    const messages = [{ role: "user", content: "Roll a die." }, ...response.messages];
    const { prompt: _, ...rest } = asked;
    const answer = await generateText({ ...rest, messages, toolChoice: "none" });
    assert.ok(answer.text);
  });

  test(`${name}: a named tool is called in a stream`, async () => {
    const tools = { roll: roll(undefined) };
    const stream = streamText({ ...options, tools, toolChoice: { type: "tool", toolName: "roll" } });
    const calls = await stream.toolCalls;
    assert.equal(calls.length, 1);
    assert.ok(calls[0].input.sides >= 2 && calls[0].input.sides <= 9);
  });

  test(`${name}: errors carry status and body`, async () => {
    await assert.rejects(generateText({ ...options, temperature: 5 }), (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.equal(error.statusCode, 400);
      return error.message.includes("temperature");
    });
  });
}
