"""What stands in for the places that secrets go to: servers on loopback that keep what they were given."""
