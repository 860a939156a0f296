"""`seq2seq-benchmark` for those who work in a checkout."""

from seq2seq_lightning.commands.benchmark import main

if __name__ == "__main__":
    main()
