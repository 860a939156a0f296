"""How a model is trained: settings, module, data module, optimisers, checkpoints, trackers."""
