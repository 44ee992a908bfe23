"""The shell around the core: asks it, acts, records. All waiting happens on one timer here."""
