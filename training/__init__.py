"""Offline: text in, artifact out. Imports model, never service."""
