"""What is learnt on frozen features: heads, transferability scores, the expansion of a labelled set."""
