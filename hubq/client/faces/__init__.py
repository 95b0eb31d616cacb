"""The objects that users hold: references, handles, the questions of a hub. A face knows a driver, never the hub itself."""
