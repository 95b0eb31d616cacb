"""hubq in web frameworks: each module needs the framework that it is named after (docs/guide-apps.md)."""
