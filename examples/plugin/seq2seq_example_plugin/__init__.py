"""A plug-in of seq2seq_lightning: one module per component, found by the entry points of `pyproject.toml`."""
