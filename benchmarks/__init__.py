"""What is measured, against whom, and where the figures go. See README.md."""
