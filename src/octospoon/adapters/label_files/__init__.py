"""Files of labels and predictions, in the formats of other programs."""
