import { EXAMPLE_KEY } from "../../../snippets";
import type { Body } from "./conversation";

const NAMES = [
  ["curl", "curl"],
  ["python", "Python"],
  ["node", "Node.js"],
] as const;

/** Code that makes exactly this call, with a placeholder for the key, as `CodeTabs` takes it. */
export function codesOf(body: Body, baseUrl: string): { id: string; label: string; code: string }[] {
  const write = { curl: curlOf, python: pythonOf, node: nodeOf };
  return NAMES.map(([id, label]) => ({ id, label, code: write[id](body, baseUrl) }));
}

function curlOf(body: Body, baseUrl: string): string {
  const json = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }, null, 2);
  return [
    `curl -N ${baseUrl}/chat/completions \\`,
    `  -H "Authorization: Bearer ${EXAMPLE_KEY}" \\`,
    '  -H "Content-Type: application/json" \\',
    `  -d '${json.replaceAll("'", "'\\''")}'`,
  ].join("\n");
}

// A text in JSON is a text in Python as well, and so are lists, dictionaries and numbers.
function pythonOf(body: Body, baseUrl: string): string {
  const { messages, ...others } = body;
  return `# pip install openai
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(baseUrl)}, api_key=${JSON.stringify(EXAMPLE_KEY)})

stream = client.chat.completions.create(
${Object.entries(others)
  .map(([name, value]) => `    ${name}=${JSON.stringify(value)},`)
  .join("\n")}
    messages=[
${messages.map(({ role, content }) => `        {"role": "${role}", "content": ${JSON.stringify(content)}},`).join("\n")}
    ],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
`.trimEnd();
}

function nodeOf(body: Body, baseUrl: string): string {
  const { messages, ...others } = body;
  return `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: ${JSON.stringify(baseUrl)}, apiKey: ${JSON.stringify(EXAMPLE_KEY)} });

const stream = await client.chat.completions.create({
${Object.entries(others)
  .map(([name, value]) => `  ${name}: ${JSON.stringify(value)},`)
  .join("\n")}
  messages: [
${messages.map(({ role, content }) => `    { role: "${role}", content: ${JSON.stringify(content)} },`).join("\n")}
  ],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}`;
}
