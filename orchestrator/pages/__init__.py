"""The page of a living sweep: a small local server, and what people choose on it."""
