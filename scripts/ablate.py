"""`seq2seq-ablate` for those who work in a checkout."""

from seq2seq_lightning.commands.ablate import main

if __name__ == "__main__":
    main()
