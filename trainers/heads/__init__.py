"""Studies of sized heads: how many images one can fit, and how alike their features are."""
