"""Core models: what one kind of core brings (fields, engines, checks), one folder per kind."""
