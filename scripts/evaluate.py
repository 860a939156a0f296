"""`seq2seq-evaluate` for those who work in a checkout."""

from seq2seq_lightning.commands.evaluate import main

if __name__ == "__main__":
    main()
