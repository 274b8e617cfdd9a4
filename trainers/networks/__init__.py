"""Networks: backbone and head, what they are built from, and how large they are."""
