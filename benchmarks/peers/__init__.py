"""What others would run in our place: the servers and the script we are measured against."""
