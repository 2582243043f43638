"""Protocols with numbered guarantees; at most seven methods each."""
