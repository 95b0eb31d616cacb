"""The web view: a hub in a browser, and its JSON API (docs/guide-web.md, docs/adr/0026-the-web-view.md)."""
