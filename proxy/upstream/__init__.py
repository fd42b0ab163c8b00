"""One provider a module: URL, headers, error classes. No translation, no selection."""
