"""Feature vectors in Lance tables, in a folder or an object store."""
