"""The OpenAI protocol: schemas of its requests and responses, and its shape of errors."""
