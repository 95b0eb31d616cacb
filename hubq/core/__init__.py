"""The pure core: decisions only. Nothing here imports redis, asyncio, time, random or logging."""
