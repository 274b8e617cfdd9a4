"""Files that a trial writes and reads: whole or not at all."""
