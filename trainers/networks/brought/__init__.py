"""Backbones that are brought along: a function of a user's own, a package's, or timm's."""
