"""Write a fine-tuned model to files that other programs read."""
