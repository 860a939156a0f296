"""From records to tables and verdicts, without torch."""
