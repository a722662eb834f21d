"""Real servers for tests, each started on free ports of this machine and killed at the end."""
