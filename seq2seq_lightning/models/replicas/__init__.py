"""Several models of one form as one: their weights stacked, their products batched, their rows one after the other.

A tensor that a model has with ``rows`` first has ``replicas · rows`` first here, those of the first replica before
those of the second; whatever holds no weights works on them as it stands.
"""
