"""Declarations of the built-in tools: plain data, light to import, apart from their bodies."""
