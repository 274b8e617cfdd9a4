"""Files of trials in one place for all nodes: a folder that they share, or an fsspec URL."""
