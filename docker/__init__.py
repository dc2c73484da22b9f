"""What the containers read, and the scripts that write it."""
