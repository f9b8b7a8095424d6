"""The HTTP face: the ML-backend protocol of Label Studio and our own API; routes parse, call, render."""
