"""Readers of other engines’ projects; each returns a collection document."""
