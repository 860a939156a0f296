"""`seq2seq-report` for those who work in a checkout."""

from seq2seq_lightning.commands.report import main

if __name__ == "__main__":
    main()
