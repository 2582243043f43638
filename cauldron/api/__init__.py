"""The HTTP API: FastAPI routes over the services, and raw ASGI where streams need it."""
