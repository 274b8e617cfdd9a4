"""Rounding that looks at images: which code each weight gets so that layers answer as before."""
