"""How a network is trained, beyond optimizer and epochs: plain values, without torch."""
