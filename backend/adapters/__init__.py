"""One outside thing a folder: Label Studio, images, the feature store, the database, the job queue, the network."""
