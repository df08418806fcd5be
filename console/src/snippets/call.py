# pip install openai
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
