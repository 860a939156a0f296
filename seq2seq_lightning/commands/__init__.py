"""The commands: parse, call, exit."""
