"""From labels to a new order in Label Studio: what is due, learn, rank, publish, repair."""
