"""What travels on the bus: every subject with its messages, one file per answering service."""
