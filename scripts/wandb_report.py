"""`seq2seq-wandb-report` for those who work in a checkout."""

from seq2seq_lightning.commands.wandb_report import main

if __name__ == "__main__":
    main()
