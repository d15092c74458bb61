"""The scheduling algorithm, pure: no clock, no socket, no thread, no global randomness. Start with messages.py."""
