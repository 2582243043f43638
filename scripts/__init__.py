"""Scripts of the house: set-up, requirements, and the generated parts of the pages."""
