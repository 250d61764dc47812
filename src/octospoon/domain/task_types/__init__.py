"""The kinds of labels that octospoon learns from, one package each."""
