"""What the command is, for the tools that look for it."""
