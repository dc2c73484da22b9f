"""Constraints on generated text: regular expressions and choices, compiled to token automata."""
