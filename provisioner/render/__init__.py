"""Plans and results, made readable. Names from the manifest and the server are escaped on the way."""
