"""`seq2seq-train` for those who work in a checkout."""

from seq2seq_lightning.commands.train import main

if __name__ == "__main__":
    main()
