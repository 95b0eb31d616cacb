"""One child on this node: built, begun, a message handled, saved, ended."""
