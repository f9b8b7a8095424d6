"""One file a method; importing this package registers them all."""
