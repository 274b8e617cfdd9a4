"""Files that a trial writes and reads; all writes are atomic."""
