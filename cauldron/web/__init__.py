"""Pages: our own templates, style sheets and scripts, and the functions that fill them."""
