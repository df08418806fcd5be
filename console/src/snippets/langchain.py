# pip install langchain-openai
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    base_url="https://relay.example/v1",
    api_key="sk-relay-your-key",
    model="your-model",
    use_responses_api=False,
)
for chunk in model.stream("Count to ten."):
    print(chunk.text, end="", flush=True)
