"""Faults: damaged and forged input, full disks, kills, several writers. docs/reliability.md says what is promised."""
