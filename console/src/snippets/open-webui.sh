docker run -d -p 3000:8080 --name open-webui \
  -e OPENAI_API_BASE_URL=https://relay.example/v1 \
  -e OPENAI_API_KEY=sk-relay-your-key \
  -v open-webui:/app/backend/data \
  ghcr.io/open-webui/open-webui:main
