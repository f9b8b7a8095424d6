"""What runs networks: embed images, decode them in processes of their own, fine-tune, export."""
