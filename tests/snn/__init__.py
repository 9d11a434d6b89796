"""Tests of networks, traces, the functional model and synthetic traces."""
