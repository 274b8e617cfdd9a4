"""One module a version; a published one never changes again."""
