"""Event streams, job queue and records, written once over the storage kernel."""
