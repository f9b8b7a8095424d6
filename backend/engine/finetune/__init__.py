"""Fine-tune a backbone on the labels, in slices that a killed worker can repeat."""
