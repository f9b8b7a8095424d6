"""The command line, one file a theme; it parses arguments, calls a use case and prints."""
