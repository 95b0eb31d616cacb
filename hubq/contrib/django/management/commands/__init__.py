"""``manage.py hubq``."""
