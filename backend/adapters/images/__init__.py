"""Fetch images: from Label Studio, cloud storage, the web or a folder."""
