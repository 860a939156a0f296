"""What was run and what came of it, as plain files: records, scores, the ledger, and ablations as lists of trials."""
