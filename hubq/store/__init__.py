"""The only importer of redis: keys, scripts, and what is read from and written to them."""
