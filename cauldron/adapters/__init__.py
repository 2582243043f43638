"""How things are done: storage engines, blob stores, tools, importers."""
