"""The network: encoder, bridge, attention, decoder, each chosen on its own, wired together in ``seq2seq``."""
