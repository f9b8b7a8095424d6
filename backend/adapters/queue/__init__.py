"""Jobs, events and workers' heartbeats in Redis, by RQ."""
