"""`seq2seq-data` for those who work in a checkout."""

from seq2seq_lightning.commands.data import main

if __name__ == "__main__":
    main()
