"""Records of the earlier system read as ours: pure mappers, one module per kind."""
