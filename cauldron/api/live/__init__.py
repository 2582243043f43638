"""Live progress over HTTP: server-sent events and a WebSocket, raw ASGI beside FastAPI's routes."""
