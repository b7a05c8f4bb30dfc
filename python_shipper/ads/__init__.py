"""The ad system's logging: its loggers, its events, how long things take, and the way of one ad request."""
