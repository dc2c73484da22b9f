"""Sequences, scheduling and the step loop. Knows no HTTP, no pydantic and no asyncio."""
