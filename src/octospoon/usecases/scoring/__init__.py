"""The steps of scoring an upload: read and predict it, then write its row."""
