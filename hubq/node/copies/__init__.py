"""Copies of other nodes' children: followers, their log, the standby."""
