# The request id is the response header x-request-id.
curl https://relay.example/v1/receipts/your-request-id \
  -H "Authorization: Bearer sk-relay-your-key"
