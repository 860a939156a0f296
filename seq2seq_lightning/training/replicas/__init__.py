"""Trains several seeds of one configuration at once; each leaves what a training of its own would leave."""
