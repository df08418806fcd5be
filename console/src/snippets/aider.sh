# pip install aider-install && aider-install
export OPENAI_API_BASE=https://relay.example/v1
export OPENAI_API_KEY=sk-relay-your-key

aider --model openai/your-model
