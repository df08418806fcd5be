// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "https://relay.example/v1",
  apiKey: "sk-relay-your-key",
});

const stream = await client.chat.completions.create({
  model: "your-model",
  messages: [{ role: "user", content: "Count to ten." }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(`\n${chunk.usage.prompt_tokens} tokens in, ${chunk.usage.completion_tokens} out`);
}
