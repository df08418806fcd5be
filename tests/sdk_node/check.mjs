// The official OpenAI package for Node, called as an application calls it. Reads what to call as JSON from standard input and
// prints what came of each call as JSON: {"<name>": {...}}. tests/e2e/test_sdk_node.py says what it must be.
import { text as readText } from "node:stream/consumers";
import OpenAI from "openai";

const config = JSON.parse(await readText(process.stdin));
const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, unit: { enum: ["c", "f"] } },
      required: ["city", "unit"],
    },
  },
};

function connect(apiKey) {
  return new OpenAI({ baseURL: config.baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
}

function ask(content, members = {}) {
  return client.chat.completions.create({
    model: config.model,
    messages: [{ role: "user", content }],
    ...members,
  });
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return {
    text: chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? "").join(""),
    usages: chunks.map((chunk) => chunk.usage ?? null),
    finish: chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.finish_reason).filter(Boolean),
  };
}

// What an exception looks like from outside: its class, and what the package read from the response.
async function failure(attempt) {
  try {
    await attempt();
  } catch (error) {
    return {
      class: error.constructor.name,
      isApiError: error instanceof OpenAI.APIError,
      status: error.status ?? null,
      code: error.code ?? null,
      type: error.type ?? null,
      requestID: error.requestID ?? null,
    };
  }
  return { class: null };
}

function toolCalls(message) {
  return (message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]);
}

const client = connect(config.key);
const cases = {
  async plain() {
    const { data, request_id } = await ask("hello [[sim out=40]]").withResponse();
    return { text: data.choices[0].message.content, usage: data.usage, requestID: request_id };
  },
  async streamed() {
    return collect(await ask("hello [[sim out=40]]", { stream: true }));
  },
  async include_usage() {
    return collect(await ask("hello [[sim out=30]]", { stream: true, stream_options: { include_usage: true } }));
  },
  async tools() {
    const answer = await ask("hi [[sim tools=2]]", { tools: [TOOL] });
    return { calls: toolCalls(answer.choices[0].message), finish: answer.choices[0].finish_reason };
  },
  async streamed_tools() {
    const runner = client.chat.completions.stream({
      model: config.model,
      messages: [{ role: "user", content: "hi [[sim tools=2]]" }],
      tools: [TOOL],
    });
    const message = await runner.finalMessage();
    return { calls: toolCalls(message) };
  },
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return { names };
  },
  async broken_stream() {
    let text = "";
    const seen = await failure(async () => {
      const stream = await ask("hi [[sim out=20 tps=50 cut=tok:3 cut_mode=rst]]", { stream: true });
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    });
    return { ...seen, text };
  },
};

for (const [name, call] of Object.entries(config.refusals)) {
  for (const stream of [false, true]) {
    cases[`${name}-${stream ? "stream" : "plain"}`] = () =>
      failure(() =>
        connect(call.key).chat.completions.create({
          model: call.model,
          messages: [{ role: "user", content: call.text }],
          temperature: call.temperature,
          stream,
        }),
      );
  }
}

const results = {};
for (const [name, run] of Object.entries(cases)) {
  try {
    results[name] = await run();
  } catch (error) {
    results[name] = { unexpected: String(error?.stack ?? error) };
  }
}
process.stdout.write(JSON.stringify(results));
