// npm install ai @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const relay = createOpenAICompatible({
  name: "relay",
  baseURL: "https://relay.example/v1",
  apiKey: "sk-relay-your-key",
  includeUsage: true,
});

const { textStream } = streamText({ model: relay("your-model"), prompt: "Count to ten." });
for await (const text of textStream) process.stdout.write(text);
