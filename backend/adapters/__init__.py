"""One outside thing a file: Label Studio, images, backbones, the feature store, the database, RQ."""
