"""One trial from its configuration to its measured values."""
