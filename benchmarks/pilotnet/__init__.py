"""Intel's PilotNet on Loihi 2: what was recorded and measured, beside what hwsim computes; docs/loihi2.md."""
