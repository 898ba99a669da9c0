"""Where state lives: one file per kind of store."""
