"""Other ways in than a log line: business events, measurements, and failures that nobody caught."""
