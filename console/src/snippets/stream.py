# pip install openai
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
        print(f"\n{chunk.usage.prompt_tokens} tokens in, {chunk.usage.completion_tokens} out")
