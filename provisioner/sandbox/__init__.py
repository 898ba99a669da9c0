"""A local server that speaks the same API, keeps the truth, and can misbehave on request."""
