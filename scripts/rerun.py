"""`seq2seq-rerun` for those who work in a checkout."""

from seq2seq_lightning.commands.rerun import main

if __name__ == "__main__":
    main()
