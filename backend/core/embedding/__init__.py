"""Give each task a feature vector: claim tasks, embed their images, store the vectors."""
