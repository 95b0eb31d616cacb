"""Small ready-made worker modules, to try hubq with."""
