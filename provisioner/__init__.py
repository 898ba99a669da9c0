"""OAuth apps as code: plan, apply, and secrets that only their readers can open."""

__version__ = "0.1.0"
