"""The sweep file as a value: its sections, its checks, and how it is read."""
