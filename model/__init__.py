"""Tokenizers, networks, recurrent states and artifacts, shared by training and service."""
