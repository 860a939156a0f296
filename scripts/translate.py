"""`seq2seq-translate` for those who work in a checkout."""

from seq2seq_lightning.commands.translate import main

if __name__ == "__main__":
    main()
