"""Text that comes from outside made safe: JSON that is parsed, secrets that are masked, control characters."""
