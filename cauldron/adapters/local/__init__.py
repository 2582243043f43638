"""Built-in tools that need no key and no GPU, and the pool that runs them."""
