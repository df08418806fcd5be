"""What the services agree on, bottom to top: values and settings, contracts, stream protocol, bus and database, skeleton."""
