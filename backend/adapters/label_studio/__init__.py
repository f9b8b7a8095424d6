"""Label Studio's API over HTTP, label configs and task data as it writes them."""
