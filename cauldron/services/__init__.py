"""What to do: the application services that carry commands and follow events."""
