"""Online: an artifact goes in, HTTP comes out. Imports model, never training."""
