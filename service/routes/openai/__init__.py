"""The routes of the OpenAI protocol, below /v1."""
