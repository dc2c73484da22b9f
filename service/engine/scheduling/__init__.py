"""Admission, queues and the scheduler. Imports no torch and reads no clock."""
