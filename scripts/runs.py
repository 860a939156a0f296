"""`seq2seq-runs` for those who work in a checkout."""

from seq2seq_lightning.commands.runs import main

if __name__ == "__main__":
    main()
