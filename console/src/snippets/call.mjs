// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "https://relay.example/v1",
  apiKey: "sk-relay-your-key",
});

const answer = await client.chat.completions.create({
  model: "your-model",
  messages: [{ role: "user", content: "Say hello." }],
});
console.log(answer.choices[0].message.content);
