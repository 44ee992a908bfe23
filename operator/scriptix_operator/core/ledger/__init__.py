"""The start ledger: which starts were charged, and which may be in flight."""
