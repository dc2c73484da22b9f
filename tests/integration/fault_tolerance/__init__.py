"""Training that is killed, interrupted, distributed or out of disk."""
