"""Trains a small model that writes digits backwards, and translates with it, through the Python interface.

    python examples/train_and_translate.py

About half a minute on one core; a second start finds the run finished and only translates.
"""

from __future__ import annotations

from seq2seq_lightning import Config, train

SETTINGS = {
    "name": "python_example",
    "data": {"name": "reverse", "symbols": 10, "train_max_length": 8, "evaluation_max_length": 8, "test_size": 200},
    "model": {
        "encoder": {"embedding_size": 32, "hidden_size": 64, "direction": "bidirectional"},
        "decoder": {"embedding_size": 32, "hidden_size": 64},
        "bridge": {"name": "dense"},
    },
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "trainer": {"max_steps": 400, "threads": 1, "progress": False},
}


def main() -> None:
    """Train, or find the run finished; then translate and score."""
    trained = train(Config.from_plain(SETTINGS))  # the same checks and run directory as seq2seq-train
    for source in ("3 1 4 1 5", "2 7 1 8"):
        print(source, "->", *trained.translate([source]))


if __name__ == "__main__":
    main()
