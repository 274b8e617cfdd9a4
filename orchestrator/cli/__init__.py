"""The command ``paretune``. Every command reads, calls the Python API and prints; no logic."""
