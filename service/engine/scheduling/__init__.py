"""Admission, queues and the scheduler, without torch. The scheduler has no clock."""
