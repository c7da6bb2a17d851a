"""The agent's own HTTP: a lean client and server; by aiohttp only what those two leave out."""
