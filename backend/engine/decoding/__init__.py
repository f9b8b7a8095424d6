"""Turn bytes of images into pixels, in processes that may be killed without loss."""
