var e={"call.curl":`curl https://relay.example/v1/chat/completions \\
  -H "Authorization: Bearer sk-relay-your-key" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "your-model",
    "messages": [{"role": "user", "content": "Say hello."}]
  }'
`,"call.python":`# pip install openai
from openai import OpenAI

client = OpenAI(
    base_url="https://relay.example/v1",
    api_key="sk-relay-your-key",
)

answer = client.chat.completions.create(
    model="your-model",
    messages=[{"role": "user", "content": "Say hello."}],
)
print(answer.choices[0].message.content)
`,"call.node":`// npm install openai
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
`,"stream.curl":`curl -N https://relay.example/v1/chat/completions \\
  -H "Authorization: Bearer sk-relay-your-key" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "your-model",
    "stream": true,
    "stream_options": {"include_usage": true},
    "messages": [{"role": "user", "content": "Count to ten."}]
  }'
`,"stream.python":`# pip install openai
from openai import OpenAI

client = OpenAI(
    base_url="https://relay.example/v1",
    api_key="sk-relay-your-key",
)

stream = client.chat.completions.create(
    model="your-model",
    messages=[{"role": "user", "content": "Count to ten."}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
    if chunk.usage:
        print(f"\\n{chunk.usage.prompt_tokens} tokens in, {chunk.usage.completion_tokens} out")
`,"stream.node":`// npm install openai
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
  if (chunk.usage) console.log(\`\\n\${chunk.usage.prompt_tokens} tokens in, \${chunk.usage.completion_tokens} out\`);
}
`,"stream.format":`data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"One"},"finish_reason":null}]}

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":", two"},"finish_reason":null}]}

: keep-alive

data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":20,"total_tokens":32}}

data: [DONE]
`,receipt:`# The request id is the response header x-request-id.
curl https://relay.example/v1/receipts/your-request-id \\
  -H "Authorization: Bearer sk-relay-your-key"
`,error:`{
  "error": {
    "message": "The model 'gpt-x' does not exist. GET /v1/models lists what does.",
    "type": "invalid_request_error",
    "param": "model",
    "code": "model_not_found"
  }
}
`,continue:`name: Relay
version: 1.0.0
schema: v1
models:
  - name: your-model
    provider: openai
    model: your-model
    apiBase: https://relay.example/v1
    apiKey: sk-relay-your-key
    roles: [chat, edit, apply]
`,aider:`# pip install aider-install && aider-install
export OPENAI_API_BASE=https://relay.example/v1
export OPENAI_API_KEY=sk-relay-your-key

aider --model openai/your-model
`,openWebui:`docker run -d -p 3000:8080 --name open-webui \\
  -e OPENAI_API_BASE_URL=https://relay.example/v1 \\
  -e OPENAI_API_KEY=sk-relay-your-key \\
  -v open-webui:/app/backend/data \\
  ghcr.io/open-webui/open-webui:main
`,langchain:`# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    base_url="https://relay.example/v1",
    api_key="sk-relay-your-key",
    model="your-model",
    use_responses_api=False,
)
for chunk in model.stream("Count to ten."):
    print(chunk.text, end="", flush=True)
`,aiSdk:`// npm install ai @ai-sdk/openai-compatible
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
`},t=`sk-relay-your-key`;function n(n,{baseUrl:r,key:i,model:a}){let o=e[n].trimEnd();return r&&(o=o.replaceAll(`https://relay.example/v1`,r)),i&&(o=o.replaceAll(t,i)),a&&(o=o.replaceAll(`your-model`,a)),o}function r(e,t){return[{id:`curl`,label:`curl`,code:n(`${e}.curl`,t)},{id:`python`,label:`Python`,code:n(`${e}.python`,t)},{id:`node`,label:`Node.js`,code:n(`${e}.node`,t)}]}export{n,r,t};