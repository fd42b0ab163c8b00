"""The conversation model: what every wire is translated to and from. Pure data, no I/O."""
