"""Tests of capture: the real packages run, and what they did is compared with what hwsim took over."""
