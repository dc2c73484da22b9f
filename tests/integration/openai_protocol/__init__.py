"""The OpenAI protocol over a real socket."""
