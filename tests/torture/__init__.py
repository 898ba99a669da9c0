"""The torture grid: the real command, one fault at a time, and a sandbox that keeps the truth."""
